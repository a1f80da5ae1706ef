# SPDX-License-Identifier: MIT
# Only what the libraries themselves need; programs, tests and benchmarks look for theirs where they are built.
find_package(tl-expected REQUIRED)
find_package(fmt REQUIRED)
find_package(ZLIB REQUIRED)
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(gguf_fuse_xxhash REQUIRED IMPORTED_TARGET libxxhash)
