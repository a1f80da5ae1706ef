# SPDX-License-Identifier: MIT
# How the project's own code is compiled. Everything here stays inside this project's directories.

if(PROJECT_IS_TOP_LEVEL)
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
  endif()
  find_program(GGUF_FUSE_CCACHE ccache)
  if(GGUF_FUSE_CCACHE AND NOT DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_CXX_COMPILER_LAUNCHER ${GGUF_FUSE_CCACHE})
  endif()
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
endif()

# In the directory, not on the targets: sanitizers must cover tests and programs too, and an instrumented library is
# never installed. The preloaded C module stays plain, it has to load before any runtime.
if(GGUF_FUSE_SANITIZE)
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${GGUF_FUSE_SANITIZE}>
                      $<$<COMPILE_LANGUAGE:CXX>:-fno-sanitize-recover=all> $<$<COMPILE_LANGUAGE:CXX>:-fno-omit-frame-pointer>)
  add_link_options($<$<LINK_LANGUAGE:CXX>:-fsanitize=${GGUF_FUSE_SANITIZE}>)
endif()
if(GGUF_FUSE_COVERAGE)
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:--coverage> $<$<COMPILE_LANGUAGE:CXX>:-fprofile-update=atomic>)
  add_link_options($<$<LINK_LANGUAGE:CXX>:--coverage>)
endif()

# Language level, warnings and visibility of one of the project's targets.
function(gguf_fuse_compile target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow
                                           $<$<BOOL:${GGUF_FUSE_WERROR}>:-Werror>)
  # GCC 12 sees overlaps and overflows in its own std::string and std::vector (bugs 105329, 105651, 107852); instrumented
  # code makes it guess about initialisation too. AddressSanitizer finds the real ones.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    target_compile_options(${target} PRIVATE -Wno-restrict -Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread)
    if(GGUF_FUSE_SANITIZE)
      target_compile_options(${target} PRIVATE -Wno-maybe-uninitialized)
    endif()
  endif()
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
endfunction()

# gguf_fuse_library(ROOM): the library of a room, from its include/ and src/; gguf_fuse::ROOM here and when installed.
function(gguf_fuse_library room)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS src/*.cpp)
  file(GLOB headers CONFIGURE_DEPENDS include/gguf_fuse/${room}/*.hpp include/gguf_fuse/${room}/*.inc)
  set(target gguf_fuse_${room})
  add_library(${target} ${sources})
  add_library(gguf_fuse::${room} ALIAS ${target})
  target_sources(${target} PUBLIC FILE_SET HEADERS BASE_DIRS include FILES ${headers})
  gguf_fuse_compile(${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${room} VERSION ${PROJECT_VERSION}
                                             SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
endfunction()

# gguf_fuse_program(NAME SOURCE...): an executable in the build tree's bin/.
function(gguf_fuse_program name)
  add_executable(${name} ${ARGN})
  gguf_fuse_compile(${name})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
endfunction()
