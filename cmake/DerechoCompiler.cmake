# How everything is compiled: language, optimisation, warnings, sanitizers. Included before any target is made.

set(CMAKE_C_STANDARD 99)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release)
endif()
# Assertions guard a replica against itself: they are our own macro and stay in, so -DNDEBUG only touches others' code.
set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG")
set(CMAKE_C_FLAGS_RELEASE "-O3 -DNDEBUG")

find_program(derecho_ccache ccache)
if(derecho_ccache AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_CXX_COMPILER_LAUNCHER "${derecho_ccache}")
    set(CMAKE_C_COMPILER_LAUNCHER "${derecho_ccache}")
endif()

# Calls into libc go straight through the table of addresses, which is bound at load time.
if(NOT DERECHO_SANITIZE)
    add_compile_options(-fno-plt)
endif()

if(DERECHO_SANITIZE)
    add_compile_options(-fsanitize=${DERECHO_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${DERECHO_SANITIZE})
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
        # gcc sees uninitialised variables in what its own instrumentation adds, and says that it does not model fences
        # for ThreadSanitizer (clang does not either, in silence).
        add_compile_options(-Wno-maybe-uninitialized -Wno-tsan)
    endif()
endif()

# What libFuzzer steers by. Its main() comes in where a target is linked.
if(DERECHO_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link)
    add_link_options(-fsanitize=fuzzer-no-link)
endif()

if(DERECHO_LTO)
    include(CheckIPOSupported)
    check_ipo_supported(RESULT derecho_lto_works OUTPUT derecho_lto_problem LANGUAGES CXX)
    if(derecho_lto_works)
        set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
        if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
            set(CMAKE_CXX_COMPILE_OPTIONS_IPO -flto=auto -fno-fat-lto-objects)
            if(DERECHO_TESTS)
                # Objects hold ordinary code as well, so that the tests link them in seconds. It is made twice then.
                set(CMAKE_CXX_COMPILE_OPTIONS_IPO -flto=auto -ffat-lto-objects)
            endif()
        endif()
    else()
        message(STATUS "no link-time optimisation: ${derecho_lto_problem}")
    endif()
endif()

add_library(derecho_warnings INTERFACE)
target_compile_options(derecho_warnings INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # gcc 12 sees overlapping copies in "text" + std::string (its bug 105651).
    target_compile_options(derecho_warnings INTERFACE -Wno-restrict -Wno-stringop-overflow)
    add_link_options(-Wno-stringop-overflow)
endif()
if(DERECHO_WERROR)
    target_compile_options(derecho_warnings INTERFACE -Werror)
endif()
