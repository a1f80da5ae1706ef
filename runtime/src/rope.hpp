// SPDX-License-Identifier: MIT
#pragma once

#include "hyperparameter_keys.hpp"
#include "hyperparameters.hpp"

namespace gguf_fuse::runtime::detail {

/// Fills rope and local_rope; `rotated` and `local_rotated` are what turns when the file does not say it. Errors: as
/// read_hyperparameters.
[[nodiscard]] Result<void> read_rope(const Keys& keys, std::uint32_t head, std::uint32_t local_head,
                                     Hyperparameters& result);

}  // namespace gguf_fuse::runtime::detail
