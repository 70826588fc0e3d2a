# libderecho.so with exactly the symbols of the export map, and what others need to build against it.

set(export_map "${CMAKE_CURRENT_SOURCE_DIR}/libderecho/capi/exports.map")
add_library(derecho SHARED)
add_library(derecho::derecho ALIAS derecho)
target_link_libraries(derecho PRIVATE derecho_core)
target_include_directories(derecho INTERFACE $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>
                                             $<INSTALL_INTERFACE:${derecho_includedir}>)
target_compile_features(derecho INTERFACE $<BUILD_INTERFACE:cxx_std_20>) # installed: derechoConfig.cmake
target_link_options(derecho PRIVATE "LINKER:--version-script=${export_map}" LINKER:-z,now)
# The library's own allocations are counted (libderecho/node/allocations.cpp).
target_link_options(derecho PRIVATE LINKER:--wrap=_Znwm LINKER:--wrap=_Znam LINKER:--wrap=_ZnwmSt11align_val_t)
if(NOT DERECHO_SANITIZE)
    target_link_options(derecho PRIVATE LINKER:--no-undefined)
endif()
# The library's file and SONAME are libderecho.so.N, N being the version of the ABI (docs/abi.md): the same everywhere.
set_target_properties(derecho PROPERTIES LINKER_LANGUAGE CXX LINK_DEPENDS "${export_map}" SOVERSION ${derecho_abi})

# `cmake --build . --target derecho_wheel` builds what a wheel holds, and nothing else.
add_custom_target(derecho_wheel DEPENDS derecho)

if(SKBUILD)
    # A wheel cannot hold symbolic links: what -lderecho finds there is a script of the linker's.
    file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/link/libderecho.so" "INPUT(libderecho.so.${derecho_abi})\n")
    install(FILES "${CMAKE_CURRENT_BINARY_DIR}/link/libderecho.so" DESTINATION ${derecho_libdir})
    set(derecho_namelink NAMELINK_SKIP)
endif()
install(TARGETS derecho EXPORT derechoTargets LIBRARY DESTINATION ${derecho_libdir} ${derecho_namelink})
install(FILES include/derecho.h include/derecho.hpp include/derecho_stub.h DESTINATION ${derecho_includedir})
install(DIRECTORY include/derecho DESTINATION ${derecho_includedir} FILES_MATCHING PATTERN *.hpp PATTERN *.h)

include(CMakePackageConfigHelpers)
install(EXPORT derechoTargets NAMESPACE derecho:: DESTINATION ${derecho_cmakedir})
configure_package_config_file(cmake/derechoConfig.cmake.in derechoConfig.cmake
    INSTALL_DESTINATION ${derecho_cmakedir} NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file(derechoConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/derechoConfig.cmake" "${CMAKE_CURRENT_BINARY_DIR}/derechoConfigVersion.cmake"
    DESTINATION ${derecho_cmakedir})

# pkg-config finds the prefix from where the file lies, so that an installed tree can be moved.
file(RELATIVE_PATH derecho_prefix_from_pc "/${derecho_pkgconfigdir}" "/")
string(REGEX REPLACE "/$" "" derecho_prefix_from_pc "${derecho_prefix_from_pc}")
configure_file(cmake/derecho.pc.in derecho.pc @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/derecho.pc" DESTINATION ${derecho_pkgconfigdir})
