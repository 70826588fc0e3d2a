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
    DEPENDS "${build_native}" tools/abi_hash.py include/derecho.h
    COMMENT "Writing the Python extension module with cffi")

# It reaches into the interpreter (buffers of types of its own), so each version of Python has its own binary. The C
# source that cffi writes includes this one, written by hand.
file(GLOB native_parts CONFIGURE_DEPENDS py/derecho/_native/*.c py/derecho/_native/*.h)
set_source_files_properties("${native_source}" PROPERTIES OBJECT_DEPENDS "${native_parts}")
Python3_add_library(derecho_python MODULE WITH_SOABI "${native_source}")
target_link_libraries(derecho_python PRIVATE derecho)
set_target_properties(derecho_python PROPERTIES
    OUTPUT_NAME _lib
    C_VISIBILITY_PRESET hidden
    INSTALL_RPATH "$ORIGIN")
add_dependencies(derecho_wheel derecho_python)
install(TARGETS derecho_python LIBRARY DESTINATION _native)
