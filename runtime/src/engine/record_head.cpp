// SPDX-License-Identifier: MIT
#include <algorithm>

#include "blocks/recorder.hpp"
#include "engine/session_state.hpp"
#include "gguf_fuse/kernels/logits.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

Result<void> allocate_head(Session::State& state, const Device& device, const PreparedShape& prepared) {
  const std::uint32_t embedding = state.shared().network.sizes.embedding;
  const std::uint32_t rows = prepared.max_tokens;
  const std::uint32_t vocabulary = state.shared().network.output.matrix.shape.rows;
  Head& head = state.head;
  GGUF_FUSE_ASSIGN(head.one_step, device.allocate(kStepBytes));
  const StepInfo one{.tokens = 1};
  GGUF_FUSE_CHECK(head.one_step.write(std::as_bytes(std::span(&one, 1))));
  GGUF_FUSE_ASSIGN(head.last_x, device.allocate(embedding * sizeof(float)));
  if (state.shared().network.layers.back().end().waits) {
    GGUF_FUSE_ASSIGN(head.last_branch, device.allocate(embedding * sizeof(float)));
  }
  GGUF_FUSE_ASSIGN(head.activations, device.allocate(prepared.bytes()));
  GGUF_FUSE_ASSIGN(head.logits, device.allocate(std::uint64_t{rows} * vocabulary * sizeof(float)));
  GGUF_FUSE_ASSIGN(head.statistics, device.allocate(rows * sizeof(RowStatistics)));
  GGUF_FUSE_ASSIGN(head.candidates, device.allocate(std::max(1U, state.options.candidates) * sizeof(Candidate)));
  return {};
}

}  // namespace

Result<void> record_head(Session::State& state) {
  const Network& network = state.shared().network;
  const ModelSizes& sizes = network.sizes;
  const Output& output = network.output;
  const Ending& before = network.layers.back().end();
  const DeviceState& place = state.devices[state.stages.back().device];
  Device& device = *place.device;
  Head& head = state.head;
  const bool all = state.options.all_logits;
  const std::uint32_t rows = all ? state.max_tokens : 1;
  const std::uint32_t vocabulary = output.matrix.shape.rows;
  const bool post = before.waits;
  const Activations kind = kind_for({&output.matrix, 1}, state.shared().options.activations);
  const PreparedShape prepared{
      .kind = kind, .columns = sizes.embedding, .tile = all ? kBatchTile : 1, .max_tokens = rows};
  GGUF_FUSE_CHECK(allocate_head(state, device, prepared));

  const auto add = [&](Result<Operation> operation) -> Result<void> {
    if (!operation) return fail(std::move(operation).error());
    if (state.stop()) return fail(interrupted(state));
    head.operations.push_back(std::move(*operation));
    return {};
  };
  const Workspace& b = place.workspace;
  if (!all) {
    GGUF_FUSE_CHECK(add(take_last(device, sizes.embedding, b.x, head.last_x, b.step)));
    if (post) GGUF_FUSE_CHECK(add(take_last(device, sizes.embedding, b.branch, head.last_branch, b.step)));
  }
  const Buffer& step = all ? b.step : head.one_step;
  const PrepareShape norm{.result = prepared,
                          .norm = output.norm.kind,
                          .epsilon = sizes.epsilon,
                          .branch = post,
                          .scaled = static_cast<bool>(before.scale),
                          .branch_norm = before.norm ? Norm::Rms : Norm::None};
  GGUF_FUSE_CHECK(add(prepare(device, norm,
                              {.x = all ? b.x : head.last_x,
                               .weight = output.norm.weight,
                               .bias = output.norm.bias,
                               .branch = all ? b.branch : head.last_branch,
                               .post_weight = before.norm,
                               .scale = before.scale,
                               .out = head.activations},
                              step)));
  const MatmulShape product{
      .kind = kind, .tile = prepared.tile, .matrices = {output.matrix}, .bias = output.bias, .factor = output.factor};
  GGUF_FUSE_CHECK(add(matmul(device, product, head.activations, head.logits, step)));
  if (output.softcap > 0) GGUF_FUSE_CHECK(add(softcap(device, output.softcap, vocabulary, head.logits, step)));
  GGUF_FUSE_CHECK(add(row_statistics(device, vocabulary, head.logits, head.statistics, step)));
  if (all || state.options.candidates == 0) return {};
  return add(top_k(device, vocabulary, state.options.candidates, head.logits, head.candidates));
}

}  // namespace gguf_fuse::runtime::detail
