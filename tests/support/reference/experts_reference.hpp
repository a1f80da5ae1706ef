// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "gguf_fuse/kernels/experts.hpp"

namespace gguf_fuse::kernels {

/// One token's choice in plain C++, in double, for tests.
struct RoutedToken {
  std::vector<std::uint32_t> experts;
  std::vector<double> weights;
};

/// What route() chooses from the logits of one token. They must not be NaN; `selection_bias` and `expert_factor` may be
/// empty.
[[nodiscard]] RoutedToken route_reference(const RouterShape& shape, std::span<const float> logits,
                                          std::span<const float> selection_bias, std::span<const float> expert_factor);

}  // namespace gguf_fuse::kernels
