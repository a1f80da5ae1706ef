// SPDX-License-Identifier: MIT
#pragma once

#include "gguf_fuse/kernels/device.hpp"

namespace gguf_fuse::kernels::detail {

/// The macro by which kernels know a dot product.
[[nodiscard]] const char* dot_define(DotProduct dot);

/// Makes a program one for this device: puts the defines of its style and 8-bit dot product before the program's own,
/// adds the compiler options those need, and as a fallback the variant in plain OpenCL C.
[[nodiscard]] ProgramSpec in_style(ProgramSpec spec, const DeviceProfile& profile);

}  // namespace gguf_fuse::kernels::detail
