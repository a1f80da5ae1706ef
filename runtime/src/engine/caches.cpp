// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>

#include "engine/engine_state.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

/// As many as a first prompt has, more or less; what comes behind it makes them grow.
constexpr std::uint32_t kFirstPages = 16;

PageGroup& group_of(Engine::State& state, std::uint32_t window) {
  const auto found = std::find_if(state.groups.begin(), state.groups.end(),
                                  [&](const PageGroup& group) { return group.window() == window; });
  if (found != state.groups.end()) return *found;
  return state.groups.emplace_back(window, page_limit(state, window), state.options.sessions + 1,
                                   pages_of(state.options.context) + 1);
}

/// Whether a device has memory for all pages that there may be: better told now than in the middle of a text.
Result<void> check_memory(const Engine::State& state, const Device& device) {
  std::uint64_t most = 0;
  for (const PageGroup& group : state.groups) {
    GGUF_FUSE_ASSIGN(const std::uint64_t bytes, group.most_bytes(device));
    most += bytes;
  }
  const std::uint64_t total = device.info().global_bytes, used = std::min(total, device.allocated_bytes());
  if (most <= total - used) return {};
  return fail({.code = ErrorCode::OutOfDeviceMemory,
               .path = device.info().name,
               .subject = "KV cache",
               .expected = fmt::format("{} bytes", most),
               .actual = fmt::format("{} bytes free of {}", total - used, total)});
}

Result<void> allocate_caches(Engine::State& state) {
  state.caches.resize(state.shared().network.layers.size());
  for (const StageBlocks& stage : state.stages) {
    const Device& device = *state.devices[stage.device].device;
    for (const StageHalf& half : stage.halves) {
      const auto keeps = half.half->block->keeps();
      if (!keeps) continue;
      Cache& cache = state.caches[half.layer];
      cache.shape = {.k = state.options.cache_k, .v = state.options.cache_v, .pages = 0, .heads = keeps->heads};
      GGUF_FUSE_CHECK(group_of(state, keeps->window).add(device, cache));
    }
  }
  for (const DeviceState& device : state.devices) GGUF_FUSE_CHECK(check_memory(state, *device.device));
  for (PageGroup& group : state.groups) GGUF_FUSE_CHECK(group.grow(std::min(kFirstPages, group.pool().limit())));
  return {};
}

/// A row for each sequence in every state, and in its copy.
Result<void> allocate_states(Engine::State& state) {
  state.states.resize(state.shared().network.layers.size());
  for (const StageBlocks& stage : state.stages) {
    const Device& device = *state.devices[stage.device].device;
    for (const StageHalf& half : stage.halves) {
      for (const std::uint64_t bytes : half.half->block->states()) {
        LayerStates& layer = state.states[half.layer];
        layer.bytes.push_back(bytes);
        for (auto* const buffers : {&layer.live, &layer.copies}) {
          GGUF_FUSE_ASSIGN(buffers->emplace_back(), allocate_cache(device, (state.options.sessions + 1) * bytes));
        }
      }
    }
  }
  return {};
}

/// Whether what a block gives has to wait anywhere.
bool has_branches(const Network& network) {
  return std::any_of(network.layers.begin(), network.layers.end(),
                     [](const Layer& layer) { return layer.mixer.ending.waits || layer.feed_forward.ending.waits; });
}

/// Operations that read and write a layer's cache get its new buffers.
Result<void> rebind(Engine::State& state, std::uint32_t window) {
  for (StageBlocks& stage : state.stages) {
    for (std::size_t i = 0; i < stage.halves.size(); ++i) {
      const auto keeps = stage.halves[i].half->block->keeps();
      if (!keeps || keeps->window != window) continue;
      const Cache& cache = state.caches[stage.halves[i].layer];
      for (StageOperations* const recorded : {&stage.batch, &stage.single}) {
        const std::size_t end = i + 1 < recorded->halves.size() ? recorded->halves[i + 1] : recorded->operations.size();
        for (std::size_t j = recorded->halves[i]; j < end; ++j) {
          Operation& operation = recorded->operations[j];
          if (operation.name() != "attention" && operation.name() != "store_kv") continue;
          GGUF_FUSE_CHECK(operation.set("k", cache.k));
          GGUF_FUSE_CHECK(operation.set("v", cache.v));
        }
      }
    }
  }
  return {};
}

}  // namespace

Error context_full(const Engine::State& state) {
  return {.code = ErrorCode::ContextFull,
          .path = state.shared().description.path,
          .expected = fmt::format("at most {} tokens of all sequences together", state.options.context),
          .actual = "more"};
}

std::uint32_t page_limit(const Engine::State& state, std::uint32_t window) {
  // Each of them may leave a page half empty, and the one that warms up needs one.
  const std::uint32_t all = pages_of(state.options.context) + state.options.sessions + 1;
  if (window == 0) return all;
  const std::uint64_t each = std::uint64_t{pages_of(window)} + pages_of(state.max_tokens) + kSlackPages + 2;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(all, each * (state.options.sessions + 1)));
}

Result<void> allocate_buffers(Engine::State& state) {
  GGUF_FUSE_CHECK(allocate_caches(state));
  GGUF_FUSE_CHECK(allocate_states(state));
  const Network& network = state.shared().network;
  for (std::size_t i = 0; i < state.devices.size(); ++i) {
    DeviceState& device = state.devices[i];
    bool used = false;
    for (const StageBlocks& stage : state.stages) {
      if (stage.device != i) continue;
      used = true;
      for (const StageHalf& half : stage.halves) half.half->block->plan(device.workspace);
    }
    if (!used) continue;
    GGUF_FUSE_CHECK(device.workspace.allocate(
        *device.device,
        {.tokens = state.max_tokens, .embedding = network.sizes.embedding, .branch = has_branches(network)}));
  }
  return {};
}

Result<void> hold_pages(Engine::State& state, Sequence& sequence, std::uint32_t position, std::uint32_t end) {
  sequence.held.resize(state.groups.size());
  for (std::size_t i = 0; i < state.groups.size(); ++i) {
    PageGroup& group = state.groups[i];
    HeldPages& held = sequence.held[i];
    const PageGroup::Demand demand{.held = &held, .position = position, .end = end};
    const std::uint64_t needed = group.needed({&demand, 1});
    if (needed > group.pool().free()) return fail(context_full(state));
    const std::uint32_t wanted = group.pool().wanted(static_cast<std::uint32_t>(needed));
    if (wanted > group.pool().allocated()) {
      GGUF_FUSE_CHECK(group.grow(wanted));
    }
    if (group.moved()) {
      GGUF_FUSE_CHECK(rebind(state, group.window()));
      group.set_bound();
    }
    GGUF_FUSE_CHECK(group.hold(held, sequence.number, position, end));
  }
  return {};
}

void forget_behind(Engine::State& state, Sequence& sequence, std::uint32_t count) {
  sequence.cached = std::min(sequence.cached, count);
  sequence.cached = states_behind(state, sequence, sequence.cached);
  for (std::size_t i = 0; i < sequence.held.size(); ++i) {
    if (!state.groups[i].sees_all(sequence.held[i], sequence.cached)) sequence.cached = 0;
  }
  for (std::size_t i = 0; i < sequence.held.size(); ++i) {
    state.groups[i].release_behind(sequence.held[i], sequence.cached);
  }
}

}  // namespace gguf_fuse::runtime::detail
