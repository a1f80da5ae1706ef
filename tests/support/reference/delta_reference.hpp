// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <vector>

#include "gguf_fuse/kernels/delta.hpp"
#include "gguf_fuse/kernels/step.hpp"

namespace gguf_fuse::kernels {

// The operations of delta.hpp token by token in plain C++ over host memory, in double, for tests. They trust their
// arguments: sizes must fit. Buffers are those of the same names there. States are kept from step to step in double.

/// out[token][channel]. `state` is double[sequences][width - 1][channels].
[[nodiscard]] std::vector<double> reference_conv(const ConvShape& shape, std::span<const StepRun> runs,
                                                 std::span<const float> in, std::span<const float> weights,
                                                 std::span<double> state);

struct DeltaInput {
  std::span<const float> qkv{};
  std::span<const float> beta{};
  std::span<const float> alpha{};
  std::span<const float> a{};
  std::span<const float> dt{};
};

/// out[token][value head][column]. `state` is double[sequences][value_heads][key_size][value_size].
[[nodiscard]] std::vector<double> reference_delta(const DeltaShape& shape, std::span<const StepRun> runs,
                                                  const DeltaInput& input, std::span<double> state);

/// The state of delta_rule in the order of reference_delta().
[[nodiscard]] std::vector<float> state_by_rows(const DeltaShape& shape, std::span<const float> state);

}  // namespace gguf_fuse::kernels
