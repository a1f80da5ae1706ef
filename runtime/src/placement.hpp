// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace gguf_fuse {

/// The device of each layer: consecutive layers, in proportion to `shares` (one a device, at least one above 0;
/// negative ones count as 0). Empty shares are equal ones.
[[nodiscard]] std::vector<std::size_t> place_layers(std::size_t layers, std::size_t devices,
                                                    std::span<const double> shares);

}  // namespace gguf_fuse
