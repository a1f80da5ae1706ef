// SPDX-License-Identifier: MIT
#pragma once

#include "gguf_fuse/kernels/device.hpp"

namespace gguf_fuse::cli {

/// Bytes a second that kernels on this device read from a buffer larger than its caches, the best of several attempts
/// within about a quarter of a second. Errors: those of Device::allocate and Device::program, OpenClFailed.
[[nodiscard]] Result<double> read_bandwidth(Device& device);

}  // namespace gguf_fuse::cli
