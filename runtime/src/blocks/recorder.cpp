// SPDX-License-Identifier: MIT
#include "blocks/recorder.hpp"

#include <algorithm>

namespace gguf_fuse::runtime::detail {

Activations kind_for(std::span<const Matrix> matrices, Activations wanted) {
  const bool quantised = std::all_of(matrices.begin(), matrices.end(),
                                     [](const Matrix& matrix) { return matrix.shape.type->block_elements > 1; });
  return quantised ? wanted : Activations::F32;
}

Result<void> Recorder::record(const HalfLayer& half, const Ending& before, const Kept& kept) {
  half_ = &half;
  before_ = before;
  kept_ = &kept;
  return half.block->record(*this);
}

Result<void> Recorder::record_ahead(const HalfLayer& half, const Ending& before) {
  half_ = &half;
  before_ = before;
  kept_ = nullptr;
  return half.block->record_ahead(*this);
}

Result<void> Recorder::add(Result<Operation> operation) {
  if (!operation) return fail(std::move(operation).error());
  if (place_.stop) return fail(place_.interrupted);  // building programs takes seconds
  operations_.push_back(std::move(*operation));
  return {};
}

Result<void> Recorder::input(Activations kind, const StreamNorm& norm) {
  const Ending before = std::exchange(before_, {});
  const Workspace& workspace = place_.workspace;
  const PrepareShape shape{.result = prepared(kind, place_.sizes.embedding),
                           .norm = norm.kind,
                           .epsilon = place_.sizes.epsilon,
                           .branch = before.waits,
                           .scaled = static_cast<bool>(before.scale),
                           .branch_norm = before.norm ? Norm::Rms : Norm::None};
  return add(prepare(device(), shape,
                     {.x = workspace.x,
                      .weight = norm.weight,
                      .bias = norm.bias,
                      .branch = before.waits ? workspace.branch : Buffer(),
                      .post_weight = before.norm,
                      .scale = before.scale,
                      .out = workspace.activations},
                     workspace.step));
}

Result<void> Recorder::pack(Activations kind, const Buffer& from, std::uint32_t columns) {
  const PrepareShape shape{.result = prepared(kind, columns)};
  return add(prepare(device(), shape, {.x = from, .out = activations()}, step()));
}

Result<void> Recorder::pack_norm(Activations kind, const Buffer& from, std::uint32_t columns, const Buffer& weight) {
  const PrepareShape shape{.result = prepared(kind, columns), .norm = Norm::Rms, .epsilon = place_.sizes.epsilon};
  return add(prepare(device(), shape, {.x = from, .weight = weight, .out = activations()}, step()));
}

Result<void> Recorder::multiply(MatmulShape shape, const Buffer& out) {
  shape.tile = place_.tile;
  return add(matmul(device(), shape, activations(), out, step()));
}

Recorder::Target Recorder::output() const {
  const Workspace& workspace = place_.workspace;
  return half_->ending.waits ? Target{Epilogue::Store, workspace.branch} : Target{Epilogue::Add, workspace.x};
}

Result<void> Recorder::project(const Matrix& matrix, const Buffer& bias, const Buffer& from, const Target& target) {
  const Activations kind = kind_for({matrix});
  GGUF_FUSE_CHECK(pack(kind, from, matrix.shape.columns));
  return multiply(
      {.kind = kind, .epilogue = target.epilogue, .matrices = {matrix}, .bias = bias, .factor = residual_factor()},
      target.out);
}

}  // namespace gguf_fuse::runtime::detail
