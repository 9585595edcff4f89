# Installs the headers, the package for find_package(agen) and agen.pc. Nothing here is built.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

target_include_directories(agen INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/agen DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.hpp")
install(TARGETS agen EXPORT agen-targets)
install(EXPORT agen-targets NAMESPACE agen:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/agen)

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/agen-config.cmake.in ${PROJECT_BINARY_DIR}/agen-config.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/agen)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/agen-config-version.cmake COMPATIBILITY SameMajorVersion
                                 ARCH_INDEPENDENT)
install(FILES ${PROJECT_BINARY_DIR}/agen-config.cmake ${PROJECT_BINARY_DIR}/agen-config-version.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/agen)

# Paths in agen.pc are relative to the file itself, so that an installed tree can be moved.
file(RELATIVE_PATH AGEN_PC_TO_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(${CMAKE_CURRENT_LIST_DIR}/agen.pc.in ${PROJECT_BINARY_DIR}/agen.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/agen.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
