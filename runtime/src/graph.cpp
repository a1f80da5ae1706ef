// SPDX-License-Identifier: MIT
#include <future>

#include "block_recorder.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

std::span<const float> rope_factors(const Weights& weights, bool is_long) {
  if (!weights.rope_factors.empty()) return weights.rope_factors;
  return is_long ? weights.rope_factors_long : weights.rope_factors_short;
}

/// Consecutive blocks on the same device become a stage.
void cut_into_stages(Session::State& state) {
  const BlockDevices& places = state.shared().places;
  const auto stage_on = [&](std::size_t device) -> StageBlocks& {
    if (state.stages.empty() || state.stages.back().device != device) {
      state.stages.push_back({.device = device, .blocks = {}, .batch = {}, .single = {}});
    }
    return state.stages.back();
  };
  stage_on(places.embedding);
  for (std::size_t layer = 0; layer < places.attention.size(); ++layer) {
    stage_on(places.attention[layer]).blocks.push_back({.layer = layer, .attention = true});
    stage_on(places.feed_forward[layer]).blocks.push_back({.layer = layer, .attention = false});
  }
  stage_on(places.output);
}

Result<std::vector<Operation>> record_stage(const Session::State& state, const StageBlocks& stage, std::uint32_t tile) {
  BlockRecorder recorder(state, state.devices[stage.device], tile);
  for (const Block& block : stage.blocks) {
    GGUF_FUSE_CHECK(block.attention ? recorder.attention(block.layer) : recorder.feed_forward(block.layer));
  }
  return recorder.take();
}

}  // namespace

Result<void> choose_frequencies(Session::State& state, std::size_t length) {
  const Hyperparameters& hp = state.shared().hyperparameters;
  const Weights& weights = state.shared().weights();
  // LongRoPE as transformers computes it (longrope in modeling_rope_utils.py): by the length of the text, and when it
  // outgrows the original context its beginning is turned anew (prepare_inputs_for_generation of Phi-3).
  const bool is_long = !weights.rope_factors_long.empty() && static_cast<double>(length) > hp.rope.original_context;
  if (state.long_factors == is_long) return {};
  state.long_factors.reset();
  state.cached = 0;
  const auto factors = rope_factors(weights, is_long);
  const auto table = rope_frequencies(hp.rope, factors);
  const auto local_table = rope_frequencies(hp.local_rope, factors);
  for (const DeviceState& device : state.devices) {
    const DeviceBuffers& b = device.buffers;
    if (!b.frequencies) continue;
    GGUF_FUSE_CHECK(b.frequencies.write(std::as_bytes(std::span(table))));
    GGUF_FUSE_CHECK(b.local_frequencies.write(std::as_bytes(std::span(local_table))));
  }
  state.long_factors = is_long;
  return {};
}

Result<void> build_graph(Session::State& state) {
  const RunnableModel::State& shared = state.shared();
  for (const auto& device : shared.options.devices) state.devices.push_back({.device = device, .buffers = {}});
  cut_into_stages(state);
  GGUF_FUSE_CHECK(allocate_buffers(state));

  const DeviceState& first = state.devices[state.stages.front().device];
  GGUF_FUSE_ASSIGN(state.tokens, first.device->allocate(state.max_tokens * sizeof(std::int32_t)));
  GGUF_FUSE_ASSIGN(Operation embedding,
                   embed(*first.device, shared.weights().embedding, shared.hyperparameters.embedding_factor,
                         state.tokens, first.buffers.x, first.buffers.step));
  state.embedding.push_back(std::move(embedding));

  // Building programs takes most of the first start: batches and single tokens side by side; one after the other where
  // no thread can be started.
  auto single = std::async(std::launch::async | std::launch::deferred, [&]() -> Result<void> {
    for (StageBlocks& stage : state.stages) {
      GGUF_FUSE_ASSIGN(stage.single, record_stage(state, stage, 1));
    }
    return {};
  });
  const auto batch = [&]() -> Result<void> {
    for (StageBlocks& stage : state.stages) {
      GGUF_FUSE_ASSIGN(stage.batch, record_stage(state, stage, kBatchTile));
    }
    return record_head(state);
  };
  Result<void> batches = batch();
  GGUF_FUSE_CHECK(single.get());
  return batches;
}

}  // namespace gguf_fuse::runtime::detail
