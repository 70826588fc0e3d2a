# fuzz_NAME for every tests/fuzz/NAME.cpp: see tests/fuzz/README.md. `derecho_fuzz` builds them all.

if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "DERECHO_FUZZ needs clang, which brings libFuzzer: use the preset `fuzz`")
endif()

file(GLOB fuzz_sources CONFIGURE_DEPENDS tests/fuzz/*.cpp)
add_custom_target(derecho_fuzz)
foreach(source IN LISTS fuzz_sources)
    cmake_path(GET source STEM name)
    add_executable(fuzz_${name} ${source})
    target_link_libraries(fuzz_${name} PRIVATE derecho_core)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    add_dependencies(derecho_fuzz fuzz_${name})
endforeach()
