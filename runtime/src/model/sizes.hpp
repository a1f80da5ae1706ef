// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace gguf_fuse::runtime::detail {

/// What all blocks of a model share.
struct ModelSizes {
  std::uint32_t embedding = 0;
  std::uint32_t train_context = 0;
  std::uint32_t layers = 0;
  std::uint32_t next_token_layers = 0;  ///< behind them, for speculation: not used
  float epsilon = 1e-5F;                ///< of norms
  float residual_factor = 1;            ///< of what a block adds
};

}  // namespace gguf_fuse::runtime::detail
