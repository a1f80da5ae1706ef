// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <string>

#include "gguf_fuse/kernels/device.hpp"
#include "profile_host.hpp"

namespace gguf_fuse::kernels::detail {

/// Whether a dot product, which the table proposes, may be used: empty, or why not.
using ProbeVerdict = std::function<std::string(DotProduct dot)>;

/// How to write kernels for the device: the tables of profile.cpp, then what the options override. Asks `probe` about
/// dot products that may kill the compiler or the process; a refused one is logged and the next row tried.
[[nodiscard]] DeviceProfile decide_profile(const DeviceInfo& info, const HostCpu& cpu, const DeviceOptions& options,
                                           const ProbeVerdict& probe);

/// Whether the platform is PoCL.
[[nodiscard]] bool is_pocl(const DeviceInfo& info);

}  // namespace gguf_fuse::kernels::detail
