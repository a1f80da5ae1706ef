// SPDX-License-Identifier: MIT
#include "block_recorder.hpp"

#include <algorithm>

namespace gguf_fuse::runtime::detail {

Activations kind_for(std::initializer_list<const TensorType*> types, Activations wanted) {
  const bool quantised =
      std::all_of(types.begin(), types.end(), [](const auto* type) { return type->block_elements > 1; });
  return quantised ? wanted : Activations::F32;
}

BlockRecorder::BlockRecorder(const Session::State& state, const DeviceState& device, std::uint32_t tile)
    : state_(state),
      shared_(state.shared()),
      hp_(shared_.hyperparameters),
      arch_(*hp_.architecture),
      device_(*device.device),
      b_(device.buffers),
      tile_(tile),
      max_tokens_(tile == 1 ? 1 : state.max_tokens) {}

Result<void> BlockRecorder::add(Result<Operation> operation) {
  if (!operation) return fail(std::move(operation).error());
  if (state_.stop()) return fail(interrupted(state_));  // building programs takes seconds
  operations_.push_back(std::move(*operation));
  return {};
}

Result<void> BlockRecorder::normalise(Activations kind, const Buffer& weight, const Waiting& waiting) {
  const PrepareShape shape{.result = {.kind = kind, .columns = hp_.embedding, .tile = tile_, .max_tokens = max_tokens_},
                           .norm = Norm::Rms,
                           .epsilon = hp_.epsilon,
                           .branch = static_cast<bool>(waiting.norm),
                           .scaled = static_cast<bool>(waiting.scale)};
  return add(prepare(device_, shape,
                     {.x = b_.x,
                      .weight = weight,
                      .branch = waiting.norm ? b_.branch : Buffer(),
                      .post_weight = waiting.norm,
                      .scale = waiting.scale,
                      .out = b_.activations},
                     b_.step));
}

Result<void> BlockRecorder::pack(Activations kind, const Buffer& from, std::uint32_t columns) {
  const PrepareShape shape{.result = {.kind = kind, .columns = columns, .tile = tile_, .max_tokens = max_tokens_}};
  return add(prepare(device_, shape, {.x = from, .out = b_.activations}, b_.step));
}

Result<void> BlockRecorder::multiply(MatmulShape shape, const Buffer& out) {
  shape.tile = tile_;
  return add(matmul(device_, shape, b_.activations, out, b_.step));
}

Result<void> BlockRecorder::project(const Matrix& matrix, const Buffer& bias, Activations kind, const Target& target) {
  return multiply(
      {.kind = kind, .epilogue = target.epilogue, .matrices = {matrix}, .bias = bias, .factor = hp_.residual_factor},
      target.out);
}

}  // namespace gguf_fuse::runtime::detail
