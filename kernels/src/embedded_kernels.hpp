// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string_view>

namespace gguf_fuse::kernels::detail {

/// A file below kernels/cl, as it was when the library was built.
struct EmbeddedKernel {
  std::string_view name;  ///< relative path, e.g. "decode/q4_1.cl"
  std::string_view text;
};

/// All of them, in no particular order.
[[nodiscard]] std::span<const EmbeddedKernel> embedded_kernels();

}  // namespace gguf_fuse::kernels::detail
