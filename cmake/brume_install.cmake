# Installs the libraries and headers, and what lets others find them: a package for
# find_package(brume CONFIG), and brume.pc for pkg-config.

include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(components core autograd nn diffusion)
set(BRUME_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/brume)

foreach(component ${components})
  set_target_properties(brume_${component} PROPERTIES EXPORT_NAME ${component})
  install(TARGETS brume_${component} EXPORT brume
          ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
          INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
endforeach()
install(TARGETS brume EXPORT brume)
install(EXPORT brume NAMESPACE brume:: FILE brume_targets.cmake DESTINATION ${BRUME_PACKAGE_DIR})
if(TARGET brume_program)
  install(TARGETS brume_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

# The two headers that name the JSON type stay at home: no user's program depends on it.
install(DIRECTORY ${components} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/brume
        FILES_MATCHING PATTERN "*.h"
        PATTERN "json.h" EXCLUDE PATTERN "config_json.h" EXCLUDE
        PATTERN "zip_callbacks.h" EXCLUDE)
install(FILES brume.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/brume)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

configure_package_config_file(
  ${PROJECT_SOURCE_DIR}/cmake/brume_config.cmake.in ${PROJECT_BINARY_DIR}/brume-config.cmake
  INSTALL_DESTINATION ${BRUME_PACKAGE_DIR})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/brume-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/brume-config.cmake
              ${PROJECT_BINARY_DIR}/brume-config-version.cmake
        DESTINATION ${BRUME_PACKAGE_DIR})

# Paths in brume.pc are relative to the file, so that the folder can move.
set(pc_folder ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH pc_libdir ${pc_folder} ${CMAKE_INSTALL_FULL_LIBDIR})
file(RELATIVE_PATH pc_includedir ${pc_folder} ${CMAKE_INSTALL_FULL_INCLUDEDIR})
if(BRUME_PNG)
  list(APPEND pc_requires libpng)
endif()
if(BRUME_ZIP)
  list(APPEND pc_requires libzip)
endif()
list(JOIN pc_requires ", " pc_requires)
if(BRUME_CUDA STREQUAL "ON")
  set(pc_cuda_libs "-L${CUDAToolkit_LIBRARY_DIR} -lcudart_static -ldl -lrt")
endif()
configure_file(${PROJECT_SOURCE_DIR}/cmake/brume.pc.in ${PROJECT_BINARY_DIR}/brume.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/brume.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
