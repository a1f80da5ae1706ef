// SPDX-License-Identifier: MIT
#include <algorithm>

#include "engine/session_state.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

/// A shorter context helps, whichever limit of the device it was.
Result<Buffer> allocate_cache(const Device& device, std::uint64_t bytes) {
  auto buffer = device.allocate(bytes);
  if (buffer) return buffer;
  Error error = std::move(buffer).error();
  error.subject = "KV cache";
  error.hint = error_hint(ErrorCode::OutOfDeviceMemory);
  return fail(std::move(error));
}

Result<void> allocate_caches(Session::State& state) {
  state.caches.resize(state.shared().network.layers.size());
  for (const StageBlocks& stage : state.stages) {
    const Device& device = *state.devices[stage.device].device;
    for (const StageHalf& half : stage.halves) {
      const auto keeps = half.half->block->keeps();
      if (!keeps) continue;
      const CacheShape shape{.k = state.options.cache_k,
                             .v = state.options.cache_v,
                             .capacity = state.options.context,
                             .heads = keeps->heads};
      Cache& cache = state.caches[half.layer];
      cache.shape = shape;
      GGUF_FUSE_ASSIGN(cache.k, allocate_cache(device, shape.k_bytes()));
      GGUF_FUSE_ASSIGN(cache.v, allocate_cache(device, shape.v_bytes()));
      state.cache_bytes += shape.k_bytes() + shape.v_bytes();
    }
  }
  return {};
}

/// Whether what a block gives has to wait anywhere.
bool has_branches(const Network& network) {
  return std::any_of(network.layers.begin(), network.layers.end(),
                     [](const Layer& layer) { return layer.mixer.ending.waits || layer.feed_forward.ending.waits; });
}

}  // namespace

Result<void> allocate_buffers(Session::State& state) {
  GGUF_FUSE_CHECK(allocate_caches(state));
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
    GGUF_FUSE_CHECK(
        device.workspace.allocate(*device.device, state.max_tokens, network.sizes.embedding, has_branches(network)));
  }
  return {};
}

}  // namespace gguf_fuse::runtime::detail
