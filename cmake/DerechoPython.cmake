# The extension module derecho._native._lib, from the C source that cffi writes. Only in a wheel (SKBUILD), or when
# asked for: a plain C or C++ build needs no Python beyond the interpreter.

option(DERECHO_PYTHON "build the Python extension module, as wheels do anyway" OFF)
set(build_native "${CMAKE_CURRENT_SOURCE_DIR}/py/derecho/_native/build_native.py")
if(NOT (DERECHO_PYTHON OR SKBUILD) OR NOT EXISTS "${build_native}")
    return()
endif()

find_package(Python3 REQUIRED COMPONENTS Interpreter Development.Module)
set(native_source "${CMAKE_CURRENT_BINARY_DIR}/generated/_lib.c")
add_custom_command(
    OUTPUT "${native_source}"
    COMMAND "${Python3_EXECUTABLE}" "${build_native}" "${native_source}"
    DEPENDS "${build_native}" include/derecho.h
    COMMENT "Writing the Python extension module with cffi")

# cffi's C code keeps to the limited API: one binary serves every Python from 3.10 on.
add_library(derecho_python MODULE "${native_source}")
target_link_libraries(derecho_python PRIVATE derecho)
target_include_directories(derecho_python SYSTEM PRIVATE ${Python3_INCLUDE_DIRS})
target_compile_definitions(derecho_python PRIVATE Py_LIMITED_API=0x030a0000)
set_target_properties(derecho_python PROPERTIES
    PREFIX "" OUTPUT_NAME _lib SUFFIX ".abi3.so"
    C_VISIBILITY_PRESET hidden
    INSTALL_RPATH "$ORIGIN")
add_dependencies(derecho_wheel derecho_python)
install(TARGETS derecho_python LIBRARY DESTINATION _native)
