// SPDX-License-Identifier: MIT
#pragma once

#include <string_view>
#include <vector>

#include "gguf_fuse/loader/export.hpp"
#include "gguf_fuse/runtime/namespace.hpp"

namespace gguf_fuse::runtime {

/// general.architecture of all models that can be run, in alphabetical order.
[[nodiscard]] GGUF_FUSE_EXPORT std::vector<std::string_view> runnable_architectures();

}  // namespace gguf_fuse::runtime
