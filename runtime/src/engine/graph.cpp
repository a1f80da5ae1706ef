// SPDX-License-Identifier: MIT
#include <future>
#include <utility>

#include "blocks/recorder.hpp"
#include "engine/engine_state.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

std::span<const float> rope_factors(const RopeFactors& factors, bool is_long) {
  if (!factors.all.empty()) return factors.all;
  return is_long ? factors.far : factors.near;
}

/// Consecutive halves of layers on the same device become a stage.
void cut_into_stages(Engine::State& state) {
  const std::vector<PlacementPlan::Place>& places = state.shared().description.placement.plan.places;
  const auto stage_on = [&](std::size_t device) -> StageBlocks& {
    if (state.stages.empty() || state.stages.back().device != device) {
      state.stages.push_back({.device = device, .halves = {}, .batch = {}, .single = {}});
    }
    return state.stages.back();
  };
  const auto add = [&](std::size_t group, StageHalf half) {
    stage_on(places[group].device).halves.push_back(std::move(half));
  };
  stage_on(places[GroupIndex::kInput].device);
  const std::vector<Layer>& layers = state.shared().network.layers;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const Layer& layer = layers[i];
    Ending before = i > 0 ? layers[i - 1].end() : Ending();
    if (layer.feed_forward.block->looks_ahead()) {
      add(GroupIndex::feed_forward(i),
          {.layer = i, .half = &layer.feed_forward, .before = std::exchange(before, {}), .ahead = true});
    }
    add(GroupIndex::mixer(i), {.layer = i, .half = &layer.mixer, .before = before});
    add(GroupIndex::feed_forward(i), {.layer = i, .half = &layer.feed_forward, .before = layer.between()});
  }
  stage_on(places[GroupIndex::output(layers.size())].device);
}

Result<StageOperations> record_stage(const Engine::State& state, const StageBlocks& stage, std::uint32_t tile) {
  const DeviceState& device = state.devices[stage.device];
  Recorder recorder({.device = *device.device,
                     .workspace = device.workspace,
                     .sizes = state.shared().network.sizes,
                     .activations = state.shared().options.activations,
                     .tile = tile,
                     .max_tokens = tile == 1 ? 1 : state.max_tokens,
                     .max_sequences = tile == 1 ? 1 : state.options.sessions,
                     .sequences = state.options.sessions + 1,
                     .stop = state.stop(),
                     .interrupted = interrupted(state)});
  StageOperations recorded;
  for (const StageHalf& half : stage.halves) {
    recorded.halves.push_back(recorder.size());
    const Recorder::Kept kept{.cache = state.caches[half.layer], .states = state.states[half.layer].live};
    GGUF_FUSE_CHECK(half.ahead ? recorder.record_ahead(*half.half, half.before)
                               : recorder.record(*half.half, half.before, kept));
  }
  recorded.operations = recorder.take();
  return recorded;
}

/// Whether texts of `length` tokens turn by the factors for long ones.
bool turns_long(const Engine::State& state, std::size_t length) {
  // LongRoPE as transformers computes it (longrope in modeling_rope_utils.py): by the length of the text, and when it
  // outgrows the original context its beginning is turned anew (prepare_inputs_for_generation of Phi-3).
  const Network& network = state.shared().network;
  return !network.rope_factors.far.empty() && static_cast<double>(length) > network.ropes.global->original_context;
}

}  // namespace

void turn_for(Engine::State& state, Sequence& sequence, std::size_t length) {
  const bool is_long = turns_long(state, length);
  if (sequence.long_factors != is_long) forget_behind(state, sequence, 0);
  sequence.long_factors = is_long;
}

Result<void> choose_frequencies(Engine::State& state, bool is_long) {
  if (state.long_factors == is_long) return {};
  state.long_factors.reset();
  const RopeFactors& factors = state.shared().network.rope_factors;
  for (const DeviceState& device : state.devices) {
    for (const auto& [rope, buffer] : device.workspace.frequencies()) {
      if (!buffer) continue;
      const std::vector<float> table = rope_frequencies(*rope, rope_factors(factors, is_long));
      GGUF_FUSE_CHECK(buffer.write(std::as_bytes(std::span(table))));
    }
  }
  state.long_factors = is_long;
  return {};
}

Result<void> build_graph(Engine::State& state) {
  const RunnableModel::State& shared = state.shared();
  for (const auto& device : shared.options.devices) {
    state.devices.push_back({.device = device, .workspace = Workspace(state.options.sessions + 1)});
  }
  cut_into_stages(state);
  GGUF_FUSE_CHECK(allocate_buffers(state));

  const DeviceState& first = state.devices[state.stages.front().device];
  GGUF_FUSE_ASSIGN(state.tokens, first.device->allocate(state.max_tokens * sizeof(std::int32_t)));
  const Embedding& table = shared.network.embedding;
  GGUF_FUSE_ASSIGN(Operation embedding, embed(*first.device, table.table, table.factor, state.tokens, first.workspace.x,
                                              first.workspace.step));
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
    if (state.options.all_logits) return record_head(state, state.max_tokens, state.several);
    if (state.options.sessions > 1) GGUF_FUSE_CHECK(record_head(state, state.options.sessions, state.several));
    return record_head(state, 1, state.one);
  };
  Result<void> batches = batch();
  GGUF_FUSE_CHECK(single.get());
  return batches;
}

}  // namespace gguf_fuse::runtime::detail
