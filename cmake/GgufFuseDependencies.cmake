# SPDX-License-Identifier: MIT
# Only what the libraries themselves need; programs, tests and benchmarks look for theirs where they are built.
find_package(tl-expected REQUIRED)
find_package(fmt REQUIRED)
find_package(ZLIB REQUIRED)
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(gguf_fuse_xxhash REQUIRED IMPORTED_TARGET libxxhash)
# Headers only: the library is loaded at run time, so that a machine without OpenCL gets a message and not a linker error.
find_path(GGUF_FUSE_OPENCL_HEADERS CL/cl.h REQUIRED)
pkg_check_modules(gguf_fuse_pcre2 REQUIRED IMPORTED_TARGET libpcre2-8)
