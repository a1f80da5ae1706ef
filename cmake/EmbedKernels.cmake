# SPDX-License-Identifier: MIT
# EmbedKernels.cmake: writes OUTPUT, a C++ table of the texts of FILES (relative to FOLDER). Run with cmake -P.
set(rows "")
foreach(file IN LISTS FILES)
  file(READ ${FOLDER}/${file} text)
  # Literals have a limit of 64 KiB; kernels are at most 400 lines, so one literal each is enough.
  string(APPEND rows "    {\"${file}\", R\"~~(${text})~~\"},\n")
endforeach()
file(WRITE ${OUTPUT} "// Written by cmake/EmbedKernels.cmake.\n#include \"embedded_kernels.hpp\"\n\n"
                     "namespace gguf_fuse::kernels::detail {\n\nstd::span<const EmbeddedKernel> embedded_kernels() {\n"
                     "  static constexpr EmbeddedKernel kKernels[] = {\n${rows}  };\n  return kKernels;\n}\n\n"
                     "}  // namespace gguf_fuse::kernels::detail\n")
