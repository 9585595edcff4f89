# Installs the headers, the package for find_package(agen) and agen.pc. Nothing here is built.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

target_include_directories(agen INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/agen DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.hpp" PATTERN "*.h" PATTERN "*.cppm")
install(TARGETS agen EXPORT agen-targets)
install(EXPORT agen-targets NAMESPACE agen:: DESTINATION ${CMAKE_INSTALL_DATADIR}/cmake/agen)

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/agen-config.cmake.in ${PROJECT_BINARY_DIR}/agen-config.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_DATADIR}/cmake/agen)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/agen-config-version.cmake COMPATIBILITY SameMajorVersion
                                 ARCH_INDEPENDENT)
install(FILES ${PROJECT_BINARY_DIR}/agen-config.cmake ${PROJECT_BINARY_DIR}/agen-config-version.cmake
        DESTINATION ${CMAKE_INSTALL_DATADIR}/cmake/agen)

# Paths in agen.pc are relative to the file itself, so that an installed tree can be moved; a directory that was given as
# an absolute one stays so. All of this is the same for every architecture, hence below share/.
file(RELATIVE_PATH AGEN_PC_TO_PREFIX ${CMAKE_INSTALL_FULL_DATADIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
set(AGEN_PC_PREFIX "\${pcfiledir}/${AGEN_PC_TO_PREFIX}")
if(IS_ABSOLUTE "${CMAKE_INSTALL_DATADIR}")
  set(AGEN_PC_PREFIX "${CMAKE_INSTALL_PREFIX}")
endif()
set(AGEN_PC_INCLUDE "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
if(IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
  set(AGEN_PC_INCLUDE "${CMAKE_INSTALL_INCLUDEDIR}")
endif()
configure_file(${CMAKE_CURRENT_LIST_DIR}/agen.pc.in ${PROJECT_BINARY_DIR}/agen.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/agen.pc DESTINATION ${CMAKE_INSTALL_DATADIR}/pkgconfig)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/LICENSE.MIT ${PROJECT_SOURCE_DIR}/LICENSE.APACHE2
        DESTINATION ${CMAKE_INSTALL_DATADIR}/licenses/agen)
