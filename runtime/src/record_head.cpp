// SPDX-License-Identifier: MIT
#include <algorithm>

#include "block_recorder.hpp"
#include "gguf_fuse/kernels/logits.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

Result<void> allocate_head(Session::State& state, const Device& device, const PreparedShape& prepared) {
  const Hyperparameters& hp = state.shared().hyperparameters;
  const std::uint32_t rows = prepared.max_tokens;
  const std::uint32_t vocabulary = state.shared().weights().output.shape.rows;
  Head& head = state.head;
  GGUF_FUSE_ASSIGN(head.one_step, device.allocate(StepTable::kHeaderBytes));
  const StepTable::Header one{.tokens = 1};
  GGUF_FUSE_CHECK(head.one_step.write(std::as_bytes(std::span(&one, 1))));
  GGUF_FUSE_ASSIGN(head.last_x, device.allocate(hp.embedding * sizeof(float)));
  if (hp.architecture->post_norms) {
    GGUF_FUSE_ASSIGN(head.last_branch, device.allocate(hp.embedding * sizeof(float)));
  }
  GGUF_FUSE_ASSIGN(head.activations, device.allocate(prepared.bytes()));
  GGUF_FUSE_ASSIGN(head.logits, device.allocate(std::uint64_t{rows} * vocabulary * sizeof(float)));
  GGUF_FUSE_ASSIGN(head.statistics, device.allocate(rows * sizeof(RowStatistics)));
  GGUF_FUSE_ASSIGN(head.candidates, device.allocate(std::max(1U, state.options.candidates) * sizeof(Candidate)));
  return {};
}

}  // namespace

Result<void> record_head(Session::State& state) {
  const Hyperparameters& hp = state.shared().hyperparameters;
  const Weights& weights = state.shared().weights();
  const DeviceState& place = state.devices[state.stages.back().device];
  Device& device = *place.device;
  Head& head = state.head;
  const bool all = state.options.all_logits;
  const std::uint32_t rows = all ? state.max_tokens : 1;
  const std::uint32_t vocabulary = weights.output.shape.rows;
  const bool post = hp.architecture->post_norms;
  const Activations kind = kind_for({weights.output.shape.type}, state.shared().options.activations);
  const PreparedShape prepared{.kind = kind, .columns = hp.embedding, .tile = all ? kBatchTile : 1, .max_tokens = rows};
  GGUF_FUSE_CHECK(allocate_head(state, device, prepared));

  const auto add = [&](Result<Operation> operation) -> Result<void> {
    if (!operation) return fail(std::move(operation).error());
    if (state.stop()) return fail(interrupted(state));
    head.operations.push_back(std::move(*operation));
    return {};
  };
  const DeviceBuffers& b = place.buffers;
  if (!all) {
    GGUF_FUSE_CHECK(add(take_rows(device, hp.embedding, b.x, head.last_x, b.step)));
    if (post) GGUF_FUSE_CHECK(add(take_rows(device, hp.embedding, b.branch, head.last_branch, b.step)));
  }
  const Buffer& step = all ? b.step : head.one_step;
  const Buffer scale = weights.layers.back().output_scale;
  const PrepareShape norm{
      .result = prepared, .norm = Norm::Rms, .epsilon = hp.epsilon, .branch = post, .scaled = static_cast<bool>(scale)};
  GGUF_FUSE_CHECK(add(prepare(device, norm,
                              {.x = all ? b.x : head.last_x,
                               .weight = weights.output_norm,
                               .branch = all ? b.branch : head.last_branch,
                               .post_weight = post ? weights.layers.back().post_feed_forward_norm : Buffer(),
                               .scale = scale,
                               .out = head.activations},
                              step)));
  const MatmulShape product{.kind = kind,
                            .tile = prepared.tile,
                            .matrices = {weights.output},
                            .bias = weights.output_bias,
                            .factor = hp.logit_factor};
  GGUF_FUSE_CHECK(add(matmul(device, product, head.activations, head.logits, step)));
  if (hp.final_softcap > 0) GGUF_FUSE_CHECK(add(softcap(device, hp.final_softcap, vocabulary, head.logits, step)));
  GGUF_FUSE_CHECK(add(row_statistics(device, vocabulary, head.logits, head.statistics, step)));
  if (all || state.options.candidates == 0) return {};
  return add(top_k(device, vocabulary, state.options.candidates, head.logits, head.candidates));
}

}  // namespace gguf_fuse::runtime::detail
