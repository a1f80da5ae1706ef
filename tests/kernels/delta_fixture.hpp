// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include "gguf_fuse/kernels/delta.hpp"
#include "run_support.hpp"
#include "support/reference/delta_reference.hpp"

namespace gguf_fuse::test_support {

/// Heads of two key heads and six value heads of the given sizes; beta and alpha in one row of numbers, by key heads
/// (Grouped) or one behind the other (Tiled).
inline DeltaShape delta_shape(KeyHeads order, std::uint32_t key_size, std::uint32_t value_size) {
  DeltaShape shape{.key_heads = 2,
                   .value_heads = 6,
                   .key_size = key_size,
                   .value_size = value_size,
                   .order = order,
                   .max_tokens = 600,
                   .max_sequences = 4};
  if (order == KeyHeads::Grouped) {
    shape.beta = {.row = 14, .offset = 1, .segments = 2, .stride = 6, .columns = 3};
    shape.alpha = {.row = 14, .offset = 4, .segments = 2, .stride = 6, .columns = 3};
  } else {
    shape.beta = {.row = 14, .offset = 7, .columns = 6};
    shape.alpha = {.row = 14, .offset = 1, .columns = 6};
  }
  return shape;
}

/// Inputs of a step as a model has them: some tokens are written whole or forgotten whole.
struct DeltaRows {
  std::vector<float> qkv, gates;
};
inline DeltaRows delta_rows(const DeltaShape& shape, std::size_t tokens, std::uint64_t seed) {
  return {.qkv = random_floats(tokens * shape.channels(), seed, 2),
          .gates = random_floats(tokens * shape.beta.row, seed + 1, 6)};
}

/// A delta_rule whose states are NaN before, and beside it what they should be.
class DeltaLayer {
 public:
  DeltaLayer(Device& device, const DeltaShape& shape)
      : device_(device),
        shape_(shape),
        a_(random_floats(shape.value_heads, 71)),
        dt_(random_floats(shape.value_heads, 72, 2)),
        state_(buffer_of(
            device, std::vector<float>(shape.state_bytes() / sizeof(float), std::numeric_limits<float>::quiet_NaN()))),
        expected_state_(shape.state_bytes() / sizeof(float)) {
    // From hardly forgetting anything to most of it.
    for (float& value : a_) value = -std::exp(4 * value - 2);
    const auto floats = [&](std::uint64_t count) { return zeros(device, count * sizeof(float)); };
    qkv_ = floats(std::uint64_t{shape.max_tokens} * shape.channels());
    gates_ = floats(std::uint64_t{shape.max_tokens} * shape.beta.row);
    out_ = floats(std::uint64_t{shape.max_tokens} * shape.value_heads * shape.value_size);
    step_ = zeros(device, StepTable::most_bytes(shape.max_tokens, shape.max_sequences));
    // Where nothing was written must not be read.
    const std::vector<float> nothing(std::max<std::size_t>(shape.scratch_bytes() / sizeof(float), 1),
                                     std::numeric_limits<float>::quiet_NaN());
    operation_.push_back(value_of(delta_rule(device, shape,
                                             {.qkv = qkv_,
                                              .beta = gates_,
                                              .alpha = gates_,
                                              .a = buffer_of(device, a_),
                                              .dt = buffer_of(device, dt_),
                                              .state = state_,
                                              .scratch = buffer_of(device, nothing),
                                              .out = out_},
                                             step_)));
  }

  /// The rows of `runs`; the result is float[tokens][value_heads * value_size].
  std::vector<float> run(std::span<const StepRun> runs, const DeltaRows& rows) {
    value_of(qkv_.write(std::as_bytes(std::span(rows.qkv))).map([] { return 0; }));
    value_of(gates_.write(std::as_bytes(std::span(rows.gates))).map([] { return 0; }));
    run_operation(device_, operation_.front(), step_, runs);
    std::vector<float> out = content_of<float>(out_);
    out.resize(rows.qkv.size() / shape_.channels() * shape_.value_heads * shape_.value_size);
    return out;
  }

  /// What run() should give.
  std::vector<double> expected(std::span<const StepRun> runs, const DeltaRows& rows) {
    return reference_delta(shape_, runs, {.qkv = rows.qkv, .beta = rows.gates, .alpha = rows.gates, .a = a_, .dt = dt_},
                           expected_state_);
  }

  /// The state of a sequence, float[value_heads][key_size][value_size], and what it should be.
  std::vector<float> state(std::size_t sequence) const {
    return part(state_by_rows(shape_, content_of<float>(state_)), sequence);
  }
  std::vector<double> expected_state(std::size_t sequence) const { return part(expected_state_, sequence); }

 private:
  template <typename T>
  std::vector<T> part(const std::vector<T>& states, std::size_t sequence) const {
    const auto size = static_cast<std::ptrdiff_t>(states.size() / shape_.max_sequences);
    const auto begin = states.begin() + static_cast<std::ptrdiff_t>(sequence) * size;
    return {begin, begin + size};
  }

  Device& device_;
  DeltaShape shape_;
  std::vector<float> a_, dt_;
  Buffer qkv_{}, gates_{}, state_, out_{}, step_{};
  std::vector<double> expected_state_;
  std::vector<Operation> operation_{};
};

}  // namespace gguf_fuse::test_support
