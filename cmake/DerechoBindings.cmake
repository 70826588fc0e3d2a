# The bindings for Java and C# in a wheel: jars and assemblies, built where there is a compiler for them. Without one a
# wheel lacks them; then `derecho info` says so, and how to get them.

set(DERECHO_JAVA AUTO CACHE STRING "the jars of a wheel: ON, OFF, or AUTO, which is ON where there is a JDK 22 or later")
set(DERECHO_CSHARP AUTO CACHE STRING "the .NET assemblies of a wheel: ON, OFF, or AUTO, which is ON where there is mcs")
if(NOT SKBUILD)
    return()
endif()

function(derecho_add_binding language switch)
    set(build_py "${CMAKE_CURRENT_SOURCE_DIR}/bindings/${language}/build.py")
    if(${switch} STREQUAL "AUTO")
        execute_process(COMMAND "${Python3_EXECUTABLE}" "${build_py}" --check
                        RESULT_VARIABLE failed ERROR_VARIABLE reason ERROR_STRIP_TRAILING_WHITESPACE)
        if(failed)
            message(WARNING "this wheel will have no binding for ${language}: ${reason}")
            return()
        endif()
    elseif(NOT ${switch})
        return()
    endif()
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS bindings/${language}/*.java bindings/${language}/*.cs
         py/derecho/demo/members/${language}/* py/derecho/bench/members/${language}/*)
    set(built ${ARGN})
    list(TRANSFORM built PREPEND "${CMAKE_CURRENT_BINARY_DIR}/bindings/")
    add_custom_command(
        OUTPUT ${built}
        COMMAND "${Python3_EXECUTABLE}" "${build_py}" --output "${CMAKE_CURRENT_BINARY_DIR}/bindings"
        DEPENDS "${build_py}" LICENSE py/derecho/jvm.py py/derecho/clr.py ${sources}
        COMMENT "Building the binding for ${language}")
    add_custom_target(derecho_${language} DEPENDS ${built})
    add_dependencies(derecho_wheel derecho_${language})
    install(FILES ${built} DESTINATION ${derecho_libdir})
endfunction()

derecho_add_binding(java DERECHO_JAVA derecho.jar derecho-demo.jar derecho-bench.jar)
derecho_add_binding(csharp DERECHO_CSHARP Derecho.dll Derecho.xml DerechoDemo.dll DerechoBench.dll)
