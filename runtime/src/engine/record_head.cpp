// SPDX-License-Identifier: MIT
#include "blocks/recorder.hpp"
#include "engine/engine_state.hpp"
#include "gguf_fuse/kernels/logits.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

Result<void> allocate_head(const Engine::State& state, const Device& device, const PreparedShape& prepared,
                           HeadRows& head) {
  const Network& network = state.shared().network;
  const std::uint64_t rows = prepared.max_tokens, vocabulary = network.output.matrix.shape.rows;

  GGUF_FUSE_ASSIGN(head.step, device.allocate(StepTable::kHeaderBytes));
  GGUF_FUSE_CHECK(float_rows(device, rows, network.sizes.embedding, head.x));
  if (network.layers.back().end().waits) {
    GGUF_FUSE_CHECK(float_rows(device, rows, network.sizes.embedding, head.branch));
  }
  GGUF_FUSE_ASSIGN(head.activations, device.allocate(prepared.bytes()));
  GGUF_FUSE_CHECK(float_rows(device, rows, vocabulary, head.logits));
  GGUF_FUSE_ASSIGN(head.statistics, device.allocate(rows * sizeof(RowStatistics)));
  if (state.options.all_logits || state.options.candidates == 0) return {};
  GGUF_FUSE_ASSIGN(head.candidates, device.allocate(rows * state.options.candidates * sizeof(Candidate)));
  return {};
}

}  // namespace

Result<void> record_head(Engine::State& state, std::uint32_t rows, HeadRows& head) {
  const Network& network = state.shared().network;
  const ModelSizes& sizes = network.sizes;
  const Output& output = network.output;
  const Ending& before = network.layers.back().end();
  const DeviceState& place = state.devices[state.stages.back().device];
  Device& device = *place.device;
  const std::uint32_t vocabulary = output.matrix.shape.rows;
  const Activations kind = kind_for({&output.matrix, 1}, state.shared().options.activations);
  const PreparedShape prepared{
      .kind = kind, .columns = sizes.embedding, .tile = rows > 1 ? kBatchTile : 1, .max_tokens = rows};
  GGUF_FUSE_CHECK(allocate_head(state, device, prepared, head));

  const auto add = [&](Result<Operation> operation) -> Result<void> {
    if (!operation) return fail(std::move(operation).error());
    if (state.stop()) return fail(interrupted(state));
    head.operations.push_back(std::move(*operation));
    return {};
  };
  const Workspace& from = place.workspace;
  GGUF_FUSE_CHECK(add(take_rows(device, sizes.embedding, from.x, head.x, from.step)));
  if (before.waits) GGUF_FUSE_CHECK(add(take_rows(device, sizes.embedding, from.branch, head.branch, from.step)));
  const PrepareShape norm{.result = prepared,
                          .norm = output.norm.kind,
                          .epsilon = sizes.epsilon,
                          .branch = before.waits,
                          .scaled = static_cast<bool>(before.scale),
                          .branch_norm = before.norm ? Norm::Rms : Norm::None};
  GGUF_FUSE_CHECK(add(prepare(device, norm,
                              {.x = head.x,
                               .weight = output.norm.weight,
                               .bias = output.norm.bias,
                               .branch = head.branch,
                               .post_weight = before.norm,
                               .scale = before.scale,
                               .out = head.activations},
                              head.step)));
  const MatmulShape product{
      .kind = kind, .tile = prepared.tile, .matrices = {output.matrix}, .bias = output.bias, .factor = output.factor};
  GGUF_FUSE_CHECK(add(matmul(device, product, head.activations, head.logits, head.step)));
  if (output.softcap > 0) GGUF_FUSE_CHECK(add(softcap(device, output.softcap, vocabulary, head.logits, head.step)));
  GGUF_FUSE_CHECK(add(row_statistics(device, vocabulary, head.logits, head.statistics, head.step)));
  if (!head.candidates) return {};
  return add(top_k(device, vocabulary, state.options.candidates, head.logits, head.candidates));
}

}  // namespace gguf_fuse::runtime::detail
