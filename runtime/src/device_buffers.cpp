// SPDX-License-Identifier: MIT
#include <algorithm>
#include <numeric>

#include "session_state.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

/// What the blocks of one device need at most.
struct Demand {
  bool attention = false;
  bool experts = false;
  std::uint64_t qkv = 0;
  std::uint64_t q = 0;
  std::uint64_t feed_forward = 0;
  std::uint64_t packed_columns = 0;
};

Demand demand_of(const Hyperparameters& hp, const Session::State& state, std::size_t device) {
  Demand demand{.packed_columns = hp.embedding};
  for (const StageBlocks& stage : state.stages) {
    if (stage.device != device) continue;
    for (const Block& block : stage.blocks) {
      const LayerParameters& layer = hp.layers[block.layer];
      if (block.attention) {
        const HeadShape& heads = layer.heads;
        const std::uint64_t inner =
            std::uint64_t{heads.heads} * std::max({hp.latent.plain, hp.latent.kv_rank, hp.latent.value});
        demand.attention = true;
        demand.q = std::max<std::uint64_t>(demand.q, heads.q_columns());
        demand.qkv = std::max<std::uint64_t>(demand.qkv, heads.q_columns() + 2 * heads.kv_columns());
        demand.packed_columns = std::max({demand.packed_columns, demand.q, inner, std::uint64_t{hp.latent.q_rank}});
      } else {
        demand.experts = demand.experts || layer.experts;
        demand.feed_forward = std::max<std::uint64_t>(demand.feed_forward, layer.feed_forward);
        demand.packed_columns = std::max<std::uint64_t>(demand.packed_columns, layer.feed_forward);
      }
    }
  }
  return demand;
}

/// Bytes of prepared activations, whichever kind a matrix wants.
std::uint64_t prepared_bytes(std::uint64_t columns, std::uint32_t tokens) {
  std::uint64_t bytes = 0;
  for (const Activations kind : {Activations::Q8, Activations::F32}) {
    for (const std::uint32_t tile : {1U, kBatchTile}) {
      const PreparedShape shape{
          .kind = kind, .columns = static_cast<std::uint32_t>(columns), .tile = tile, .max_tokens = tokens};
      bytes = std::max(bytes, shape.bytes());
    }
  }
  return bytes;
}

/// Allocates rows of floats, one a token.
class Rows {
 public:
  Rows(const Device& device, std::uint64_t tokens) : device_(device), tokens_(tokens) {}

  Result<void> operator()(Buffer& out, std::uint64_t columns) const {
    if (columns == 0) return {};
    GGUF_FUSE_ASSIGN(out, device_.allocate(tokens_ * columns * sizeof(float)));
    return {};
  }

 private:
  const Device& device_;
  std::uint64_t tokens_;
};

Result<void> allocate_attention(const Session::State& state, const Device& device, const Demand& demand,
                                DeviceBuffers& b) {
  const Hyperparameters& hp = state.shared().hyperparameters;
  const Rows rows(device, state.max_tokens);
  GGUF_FUSE_CHECK(rows(b.qkv, demand.qkv));
  GGUF_FUSE_CHECK(rows(b.q, demand.q));
  GGUF_FUSE_CHECK(rows(b.attention, demand.q));
  GGUF_FUSE_ASSIGN(b.frequencies, device.allocate(std::max(1U, hp.rope.rotated / 2) * sizeof(float)));
  GGUF_FUSE_ASSIGN(b.local_frequencies, device.allocate(std::max(1U, hp.local_rope.rotated / 2) * sizeof(float)));
  if (!hp.architecture->latent_attention) return {};
  const LatentParameters& latent = hp.latent;
  const std::uint64_t heads = hp.layers[0].heads.heads;
  GGUF_FUSE_CHECK(rows(b.latent.low, latent.q_rank));
  GGUF_FUSE_CHECK(rows(b.latent.q, heads * (latent.plain + latent.rope)));
  GGUF_FUSE_CHECK(rows(b.latent.kv, latent.kv_rank + latent.rope));
  GGUF_FUSE_CHECK(rows(b.latent.plain, heads * std::max(latent.plain, latent.value)));
  return rows(b.latent.absorbed, heads * latent.kv_rank);
}

Result<void> allocate_experts(const Session::State& state, const Device& device, ExpertBuffers& b) {
  const Hyperparameters& hp = state.shared().hyperparameters;
  const RouterShape& router = hp.experts.router;
  const RoutingShape batch{.experts = router.experts, .used = router.used, .max_tokens = state.max_tokens};
  const RoutingShape single{.experts = router.experts, .used = router.used, .tile = 1};
  GGUF_FUSE_ASSIGN(b.batch, allocate_routing(device, batch));
  GGUF_FUSE_ASSIGN(b.single, allocate_routing(device, single));
  const Rows tokens(device, state.max_tokens);
  GGUF_FUSE_CHECK(tokens(b.logits, router.experts));
  GGUF_FUSE_CHECK(tokens(b.shared_gate, 1));
  if (hp.architecture->dense_beside_experts) GGUF_FUSE_CHECK(tokens(b.dense_branch, hp.embedding));
  const std::uint32_t slots = batch.slots(state.max_tokens);
  const Rows of_slots(device, slots);
  GGUF_FUSE_CHECK(of_slots(b.hidden, hp.experts.feed_forward));
  GGUF_FUSE_CHECK(of_slots(b.results, hp.embedding));
  const std::uint32_t columns = std::max(hp.embedding, hp.experts.feed_forward);
  GGUF_FUSE_ASSIGN(b.activations, device.allocate(prepared_bytes(columns, slots)));
  return {};
}

Result<void> allocate_device(Session::State& state, std::size_t index) {
  const Hyperparameters& hp = state.shared().hyperparameters;
  const Device& device = *state.devices[index].device;
  DeviceBuffers& b = state.devices[index].buffers;
  const Demand demand = demand_of(hp, state, index);
  const Rows rows(device, state.max_tokens);
  GGUF_FUSE_ASSIGN(b.step, device.allocate(StepTable::most_bytes(state.max_tokens, 1)));
  GGUF_FUSE_CHECK(rows(b.x, hp.embedding));
  if (hp.architecture->post_norms) GGUF_FUSE_CHECK(rows(b.branch, hp.embedding));
  GGUF_FUSE_ASSIGN(b.activations, device.allocate(prepared_bytes(demand.packed_columns, state.max_tokens)));
  GGUF_FUSE_CHECK(rows(b.feed_forward, demand.feed_forward));
  if (demand.attention) GGUF_FUSE_CHECK(allocate_attention(state, device, demand, b));
  return demand.experts ? allocate_experts(state, device, b.experts) : Result<void>{};
}

/// A shorter context helps, whichever limit of the device it was.
Result<Buffer> allocate_cache(const Device& device, std::uint64_t bytes) {
  auto buffer = device.allocate(bytes);
  if (buffer) return buffer;
  Error error = std::move(buffer).error();
  error.subject = "KV cache";
  error.hint = error_hint(ErrorCode::OutOfDeviceMemory);
  return fail(std::move(error));
}

/// One sequence has all pages, in their order.
Result<Buffer> page_table(const Device& device, std::uint32_t pages) {
  std::vector<std::uint32_t> entries(pages);
  std::iota(entries.begin(), entries.end(), 0U);
  GGUF_FUSE_ASSIGN(const Buffer table, device.allocate(entries.size() * sizeof(std::uint32_t)));
  GGUF_FUSE_CHECK(table.write(std::as_bytes(std::span(entries))));
  return table;
}

Result<void> allocate_caches(Session::State& state) {
  const auto& layers = state.shared().hyperparameters.layers;
  state.caches.resize(layers.size());
  const std::uint32_t pages = state.options.context / kPageTokens + (state.options.context % kPageTokens != 0);
  for (const StageBlocks& stage : state.stages) {
    const Device& device = *state.devices[stage.device].device;
    GGUF_FUSE_ASSIGN(const Buffer table, page_table(device, pages));
    for (const Block& block : stage.blocks) {
      if (!block.attention) continue;
      const CacheShape shape{
          .k = state.options.cache_k, .v = state.options.cache_v, .pages = pages, .heads = layers[block.layer].heads};
      Cache& cache = state.caches[block.layer];
      cache.shape = shape;
      cache.table = table;
      cache.table_row = pages;
      GGUF_FUSE_ASSIGN(cache.k, allocate_cache(device, shape.k_bytes()));
      GGUF_FUSE_ASSIGN(cache.v, allocate_cache(device, shape.v_bytes()));
      state.cache_bytes += shape.k_bytes() + shape.v_bytes();
    }
  }
  return {};
}

}  // namespace

Result<void> allocate_buffers(Session::State& state) {
  GGUF_FUSE_CHECK(allocate_caches(state));
  for (std::size_t i = 0; i < state.devices.size(); ++i) {
    const bool used =
        std::any_of(state.stages.begin(), state.stages.end(), [i](const auto& s) { return s.device == i; });
    if (used) GGUF_FUSE_CHECK(allocate_device(state, i));
  }
  return {};
}

}  // namespace gguf_fuse::runtime::detail
