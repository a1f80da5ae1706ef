// SPDX-License-Identifier: MIT
#pragma once

#include <span>

#include "gguf_fuse/kernels/device.hpp"
#include "namespace.hpp"

namespace gguf_fuse::cli {

/// Bytes a second that a kernel which does nothing else reads from these buffers of the device (the first 256 MiB of
/// them; a buffer's bytes behind its last whole 64 are left out), the best of several attempts within a twentieth of a
/// second. Allocates a few kilobytes. 0 where they hold too little to say. Errors: those of Device::allocate and
/// Device::program, OpenClFailed.
[[nodiscard]] Result<double> read_bandwidth(Device& device, std::span<const Buffer> buffers);

}  // namespace gguf_fuse::cli
