# SPDX-License-Identifier: MIT
# Headers, libraries, programs, man pages, completions, and what find_package() and pkg-config need to find them.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/gguf_fuse)
install(TARGETS gguf_fuse_loader gguf_fuse_fuse gguf_fuse_kernels gguf_fuse_jinja gguf_fuse_runtime EXPORT gguf_fuseTargets FILE_SET HEADERS)
install(EXPORT gguf_fuseTargets NAMESPACE gguf_fuse:: DESTINATION ${package_dir})
configure_package_config_file(cmake/gguf_fuse-config.cmake.in ${PROJECT_BINARY_DIR}/gguf_fuse-config.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/gguf_fuse-config-version.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${PROJECT_BINARY_DIR}/gguf_fuse-config.cmake ${PROJECT_BINARY_DIR}/gguf_fuse-config-version.cmake
        DESTINATION ${package_dir})

# Static libraries pass their own needs on to whoever links them; shared ones keep them to themselves.
set(pc_private "")
if(BUILD_SHARED_LIBS)
  set(pc_private ".private")
endif()
# Paths are told relative to the .pc file, so that the tree can be installed anywhere and moved.
file(RELATIVE_PATH pc_includedir ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_FULL_INCLUDEDIR})
configure_file(cmake/gguf_fuse.pc.in ${PROJECT_BINARY_DIR}/gguf_fuse.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/gguf_fuse.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

get_property(programs GLOBAL PROPERTY GGUF_FUSE_PROGRAMS)
install(TARGETS ${programs})
get_property(pages GLOBAL PROPERTY GGUF_FUSE_MAN_PAGES)
install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
get_property(completed GLOBAL PROPERTY GGUF_FUSE_COMPLETED_PROGRAMS)
foreach(program IN LISTS completed)
  set(script ${PROJECT_BINARY_DIR}/completion/${program})
  install(FILES ${script}.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME ${program})
  install(FILES ${script}.zsh DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions RENAME _${program})
  install(FILES ${script}.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
endforeach()
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
