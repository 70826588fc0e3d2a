# derecho_tests: unit tests stand beside the code, tests/ holds what crosses modules.

enable_testing()
find_package(GTest REQUIRED)
include(GoogleTest)

file(GLOB_RECURSE test_sources CONFIGURE_DEPENDS libderecho/*_test.cpp tests/cpp/*.cpp tests/fabric/*.cpp
     tests/sim/*.cpp)
if(NOT test_sources)
    return()
endif()

add_executable(derecho_tests ${test_sources})
target_include_directories(derecho_tests PRIVATE tests)
target_link_libraries(derecho_tests PRIVATE derecho_core GTest::gtest GTest::gtest_main)
# The code under test is optimised as it is shipped; the tests themselves are quicker built than run.
target_compile_options(derecho_tests PRIVATE $<$<CONFIG:Release>:-O1>)
set_target_properties(derecho_tests PROPERTIES INTERPROCEDURAL_OPTIMIZATION OFF)
target_link_options(derecho_tests PRIVATE -fno-lto)
if(DERECHO_SANITIZE MATCHES "thread")
    # ThreadSanitizer's memory map does not fit every kernel's address randomisation.
    set_target_properties(derecho_tests PROPERTIES
        CROSSCOMPILING_EMULATOR "${CMAKE_CURRENT_SOURCE_DIR}/tools/fixed_addresses.sh")
endif()
# PRE_TEST: a test binary that crashes fails its tests, not the build.
gtest_discover_tests(derecho_tests DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 600)

# One end of a link, or one member, in a process of its own: tests/rdma.
foreach(end fabric_end memory_end)
    add_executable(derecho_${end} tests/rdma/${end}.cpp)
    target_link_libraries(derecho_${end} PRIVATE derecho_core)
    add_dependencies(derecho_tests derecho_${end})
endforeach()
