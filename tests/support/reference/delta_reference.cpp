// SPDX-License-Identifier: MIT
#include "support/reference/delta_reference.hpp"

#include <algorithm>
#include <cmath>

namespace gguf_fuse::kernels {
namespace {

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

std::vector<double> unit_vector(std::span<const float> x, double epsilon) {
  double squares = epsilon;
  for (const float value : x) squares += static_cast<double>(value) * static_cast<double>(value);
  std::vector<double> unit(x.begin(), x.end());
  for (double& value : unit) value /= std::sqrt(squares);
  return unit;
}

double gate_of(std::span<const float> rows, const Columns& shape, std::size_t token, std::size_t head) {
  return static_cast<double>(
      rows[token * shape.row + shape.offset + head / shape.columns * shape.stride + head % shape.columns]);
}

/// One token and value head; `state` is double[key_size][value_size].
void delta_token(const DeltaShape& shape, const DeltaInput& input, std::size_t token, std::size_t head,
                 std::span<double> state, std::span<double> out) {
  const std::size_t shared = shape.value_heads / shape.key_heads;
  const std::size_t key_head = shape.order == KeyHeads::Tiled ? head % shape.key_heads : head / shared;
  const auto row = input.qkv.subspan(token * shape.channels(), shape.channels());
  const std::size_t keys = std::size_t{shape.key_heads} * shape.key_size;
  const auto epsilon = static_cast<double>(shape.epsilon);
  const auto q = unit_vector(row.subspan(key_head * shape.key_size, shape.key_size), epsilon);
  const auto k = unit_vector(row.subspan(keys + key_head * shape.key_size, shape.key_size), epsilon);
  const auto v = row.subspan(2 * keys + head * shape.value_size, shape.value_size);
  const double x = gate_of(input.alpha, shape.alpha, token, head) + static_cast<double>(input.dt[head]);
  const double decay = std::exp(static_cast<double>(input.a[head]) * (x > 30 ? x : std::log1p(std::exp(x))));
  const double beta = sigmoid(gate_of(input.beta, shape.beta, token, head));
  for (double& value : state) value *= decay;
  for (std::size_t c = 0; c < shape.value_size; ++c) {
    double predicted = 0;
    for (std::size_t i = 0; i < shape.key_size; ++i) predicted += state[i * shape.value_size + c] * k[i];
    const double added = beta * (static_cast<double>(v[c]) - predicted);
    double sum = 0;
    for (std::size_t i = 0; i < shape.key_size; ++i) {
      double& value = state[i * shape.value_size + c];
      value += k[i] * added;
      sum += value * q[i];
    }
    out[c] = sum / std::sqrt(static_cast<double>(shape.key_size));
  }
}

}  // namespace

std::vector<double> reference_conv(const ConvShape& shape, std::span<const StepRun> runs, std::span<const float> in,
                                   std::span<const float> weights, std::span<double> state) {
  const std::size_t channels = shape.channels, history = shape.width - 1;
  const std::size_t own_size = history * channels;
  std::vector<double> out(in.size() / shape.row * channels);
  for (const StepRun& run : runs) {
    const auto own = state.subspan(run.sequence * own_size, own_size);
    if (run.position == 0) std::fill(own.begin(), own.end(), 0.0);
    for (std::size_t t = run.first; t < std::size_t{run.first} + run.tokens; ++t) {
      for (std::size_t c = 0; c < channels; ++c) {
        const auto x = static_cast<double>(in[t * shape.row + shape.offset + c]);
        double sum = x * static_cast<double>(weights[c * shape.width + history]);
        for (std::size_t j = 0; j < history; ++j) {
          sum += own[j * channels + c] * static_cast<double>(weights[c * shape.width + j]);
        }
        out[t * channels + c] = sum * sigmoid(sum);
        for (std::size_t j = 0; j + 1 < history; ++j) own[j * channels + c] = own[(j + 1) * channels + c];
        own[(history - 1) * channels + c] = x;
      }
    }
  }
  return out;
}

std::vector<double> reference_delta(const DeltaShape& shape, std::span<const StepRun> runs, const DeltaInput& input,
                                    std::span<double> state) {
  const std::size_t elements = std::size_t{shape.key_size} * shape.value_size, size = shape.value_size;
  const std::size_t own_size = shape.value_heads * elements;
  std::vector<double> out(input.qkv.size() / shape.channels() * shape.value_heads * size);
  for (const StepRun& run : runs) {
    const auto own = state.subspan(run.sequence * own_size, own_size);
    if (run.position == 0) std::fill(own.begin(), own.end(), 0.0);
    for (std::size_t t = run.first; t < std::size_t{run.first} + run.tokens; ++t) {
      for (std::size_t head = 0; head < shape.value_heads; ++head) {
        delta_token(shape, input, t, head, own.subspan(head * elements, elements),
                    std::span(out).subspan((t * shape.value_heads + head) * size, size));
      }
    }
  }
  return out;
}

std::vector<float> state_by_rows(const DeltaShape& shape, std::span<const float> state) {
  const std::size_t elements = std::size_t{shape.key_size} * shape.value_size;
  std::vector<float> rows(state.size());
  for (std::size_t at = 0; at < rows.size(); ++at) {
    const std::size_t head = at / elements, i = at % elements / shape.value_size, c = at % shape.value_size;
    rows[at] = state[head * elements + (c / 16 * shape.key_size + i) * 16 + c % 16];
  }
  return rows;
}

}  // namespace gguf_fuse::kernels
