// SPDX-License-Identifier: MIT
#include "support/reference/matmul_reference.hpp"

#include <algorithm>
#include <cmath>

namespace gguf_fuse::kernels {

double gated_reference(GateActivation activation, double gate, double up) {
  switch (activation) {
    case GateActivation::Silu:
      return gate / (1 + std::exp(-gate)) * up;
    case GateActivation::Gelu:
      return 0.5 * gate *
             (1 + std::tanh(std::sqrt(2 / 3.14159265358979323846) * (gate + 0.044715 * gate * gate * gate))) * up;
    case GateActivation::Relu:
      return gate > 0 ? gate * up : 0;
    case GateActivation::SiluOai: {
      const double g = std::min(gate, 7.0);
      return g / (1 + std::exp(-1.702 * g)) * (std::clamp(up, -7.0, 7.0) + 1);
    }
  }
  return 0;
}

std::vector<double> matmul_reference(std::span<const float> weights, std::span<const float> activations,
                                     std::uint32_t columns) {
  const std::size_t rows = weights.size() / columns;
  const std::size_t tokens = activations.size() / columns;
  std::vector<double> out(rows * tokens);
  for (std::size_t token = 0; token < tokens; ++token) {
    for (std::size_t row = 0; row < rows; ++row) {
      double sum = 0;
      for (std::size_t column = 0; column < columns; ++column) {
        sum += double{weights[row * columns + column]} * double{activations[token * columns + column]};
      }
      out[token * rows + row] = sum;
    }
  }
  return out;
}

std::vector<float> embed_reference(std::span<const float> table, std::uint32_t columns, float factor,
                                   std::span<const std::int32_t> tokens) {
  std::vector<float> out;
  out.reserve(tokens.size() * columns);
  for (const std::int32_t token : tokens) {
    for (const float value : table.subspan(static_cast<std::size_t>(token) * columns, columns))
      out.push_back(factor * value);
  }
  return out;
}

}  // namespace gguf_fuse::kernels
