// SPDX-License-Identifier: MIT
#include "support/reference/matmul_reference.hpp"

#include <algorithm>
#include <cmath>

namespace gguf_fuse::kernels {

double activated_reference(Activation activation, double sum) {
  switch (activation) {
    case Activation::Silu:
      return sum / (1 + std::exp(-sum));
    case Activation::Gelu:
      return 0.5 * sum * (1 + std::tanh(std::sqrt(2 / 3.14159265358979323846) * (sum + 0.044715 * sum * sum * sum)));
    case Activation::Relu:
      return std::max(sum, 0.0);
    case Activation::ReluSquared:
      return sum > 0 ? sum * sum : 0;
    case Activation::SiluOai:
      return sum / (1 + std::exp(-1.702 * sum));
  }
  return 0;
}

double gated_reference(Activation activation, double gate, double up) {
  if (activation != Activation::SiluOai) return activated_reference(activation, gate) * up;
  return activated_reference(activation, std::min(gate, 7.0)) * (std::clamp(up, -7.0, 7.0) + 1);
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
