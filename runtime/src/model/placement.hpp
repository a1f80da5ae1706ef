// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string>
#include <vector>

#include "gguf_fuse/loader/error.hpp"
#include "gguf_fuse/runtime/model.hpp"

namespace gguf_fuse::runtime::detail {

/// Which device (an index) computes which block of a model.
struct BlockDevices {
  std::size_t embedding = 0;
  std::size_t output = 0;
  std::vector<std::size_t> attention;     ///< a layer each
  std::vector<std::size_t> feed_forward;  ///< a layer each
  std::vector<std::size_t> idle{};        ///< indices of overrides that found no tensor of a block, in descending order
};

/// A device for each of `layers` layers: neighbours together, as many as the shares say (equal ones when empty);
/// embeddings with the first layer, the output with the last. Then what overrides say about the tensors `names`.
/// Errors: InvalidArgument (a pattern that is none, a device that is not there).
[[nodiscard]] Result<BlockDevices> place_blocks(std::size_t layers, std::size_t devices, std::span<const double> shares,
                                                std::span<const PlacementOverride> overrides,
                                                std::span<const std::string> names);

}  // namespace gguf_fuse::runtime::detail
