// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "gguf_fuse/kernels/row_ops.hpp"

namespace gguf_fuse::kernels::detail {

/// For messages.
[[nodiscard]] std::string text_of(const Columns& shape);

/// InvalidArgument unless the segments lie in their row and do not overlap.
[[nodiscard]] Result<void> check_columns(const char* operation, const Columns& shape);

/// InvalidArgument unless check_columns() has nothing against either, and both have as many and as long segments.
[[nodiscard]] Result<void> check_alike(const char* operation, const Columns& shape, const Columns& other);

}  // namespace gguf_fuse::kernels::detail
