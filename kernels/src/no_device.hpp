// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "gguf_fuse/loader/error.hpp"

namespace gguf_fuse::kernels::detail {

/// NoDevice, and why: there is no OpenCL platform. Drivers are named by files FOLDER/*.icd (the specification of
/// cl_khr_icd); whether they are there, can be read, and name libraries that load.
[[nodiscard]] Error no_platform();

/// NoDevice, and why: none of these platforms (their names) has a device that can be used.
[[nodiscard]] Error no_device(const std::vector<std::string>& platforms);

}  // namespace gguf_fuse::kernels::detail
