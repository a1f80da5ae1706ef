// SPDX-License-Identifier: MIT
#pragma once

#include <span>

#include "gguf_fuse/fuse/targets.hpp"

namespace gguf_fuse::fuse::detail {

/// The rows, sorted by name.
[[nodiscard]] std::span<const ArchitectureRow> architecture_rows();

}  // namespace gguf_fuse::fuse::detail
