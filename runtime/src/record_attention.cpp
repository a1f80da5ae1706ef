// SPDX-License-Identifier: MIT
#include "block_recorder.hpp"
#include "gguf_fuse/kernels/row_ops.hpp"

namespace gguf_fuse::runtime::detail {

Result<void> BlockRecorder::attention(std::size_t layer) {
  const LayerWeights& weights = shared_.weights().layers[layer];
  if (arch_.latent_attention) {
    GGUF_FUSE_CHECK(project_latent(hp_.layers[layer], weights));
  } else {
    // What the layer before left, unless this is the first one.
    const LayerWeights* before = layer > 0 ? &shared_.weights().layers[layer - 1] : nullptr;
    const Waiting waiting =
        before != nullptr ? Waiting{before->post_feed_forward_norm, before->output_scale} : Waiting{};
    GGUF_FUSE_CHECK(project_qkv(weights, waiting));
  }
  GGUF_FUSE_CHECK(store_and_attend(layer, weights));
  if (arch_.latent_attention) return latent_result(hp_.layers[layer], weights);
  const Activations kind = kind_for({weights.output.shape.type}, wanted());
  GGUF_FUSE_CHECK(pack(kind, b_.attention, hp_.layers[layer].heads.q_columns()));
  return project(weights.output, weights.output_bias, kind, block_end());
}

Result<void> BlockRecorder::project_qkv(const LayerWeights& weights, const Waiting& waiting) {
  Activations kind = wanted();
  for (const Matrix& matrix : weights.qkv) kind = kind_for({matrix.shape.type}, kind);
  GGUF_FUSE_CHECK(normalise(kind, weights.attention_norm, waiting));
  return multiply({.kind = kind, .matrices = weights.qkv, .bias = weights.qkv_bias}, b_.qkv);
}

Result<void> BlockRecorder::store_and_attend(std::size_t index, const LayerWeights& weights) {
  const LayerParameters& layer = hp_.layers[index];
  const RopeParameters& rope = hp_.rope_of(layer);
  const StoreShape store{.heads = layer.heads,
                         .rope = layer.turns ? arch_.rope : Rope::None,
                         .rotated = rope.rotated,
                         .magnitude = rope_magnitude(rope),
                         .head_norm = weights.q_norm ? Norm::Rms : Norm::None,
                         .value_norm = arch_.value_norm,
                         .epsilon = hp_.epsilon,
                         .q_factor = hp_.q_factor};
  GGUF_FUSE_CHECK(add(store_kv(device_, store,
                               {.qkv = b_.qkv,
                                .frequencies = layer.local ? b_.local_frequencies : b_.frequencies,
                                .q_norm = weights.q_norm,
                                .k_norm = weights.k_norm,
                                .q = b_.q},
                               state_.caches[index], b_.step)));
  const AttentionShape shape{.softcap = hp_.attention_softcap,
                             .window = layer.local ? hp_.window : 0,
                             .sinks = weights.sinks,
                             .max_tokens = max_tokens_};
  return add(kernels::attention(device_, shape, state_.caches[index], b_.q, b_.attention, b_.step));
}

Result<void> BlockRecorder::project_latent(const LayerParameters& layer, const LayerWeights& weights) {
  const LatentWeights& w = weights.latent;
  const LatentParameters& latent = hp_.latent;
  const Matrix& first = latent.q_rank > 0 ? w.q_a : w.q_b;
  const Activations kind = kind_for({first.shape.type, w.kv_a.shape.type}, wanted());
  GGUF_FUSE_CHECK(normalise(kind, weights.attention_norm));
  GGUF_FUSE_CHECK(multiply({.kind = kind, .matrices = {w.kv_a}}, b_.latent.kv));
  const std::uint32_t row = latent.kv_rank + latent.rope;
  GGUF_FUSE_CHECK(add(
      norm_columns(device_, {.row = row, .columns = latent.kv_rank}, hp_.epsilon, b_.latent.kv, w.kv_a_norm, b_.step)));
  GGUF_FUSE_CHECK(project_latent_query(layer, w, kind));
  return latent_heads(layer);
}

/// Q, then its plain part seen through the projection of keys.
Result<void> BlockRecorder::project_latent_query(const LayerParameters& layer, const LatentWeights& weights,
                                                 Activations kind) {
  const LatentParameters& latent = hp_.latent;
  if (latent.q_rank > 0) {
    GGUF_FUSE_CHECK(multiply({.kind = kind, .matrices = {weights.q_a}}, b_.latent.low));
    kind = kind_for({weights.q_b.shape.type}, wanted());
    const PrepareShape shape{
        .result = {.kind = kind, .columns = latent.q_rank, .tile = tile_, .max_tokens = max_tokens_},
        .norm = Norm::Rms,
        .epsilon = hp_.epsilon};
    GGUF_FUSE_CHECK(
        add(prepare(device_, shape, {.x = b_.latent.low, .weight = weights.q_a_norm, .out = b_.activations}, b_.step)));
  }
  GGUF_FUSE_CHECK(multiply({.kind = kind, .matrices = {weights.q_b}}, b_.latent.q));
  const std::uint32_t heads = layer.heads.heads;
  const std::uint32_t size = latent.plain + latent.rope;
  GGUF_FUSE_CHECK(add(copy_columns(
      device_, {.row = heads * size, .segments = heads, .stride = size, .columns = latent.plain}, b_.latent.q,
      {.row = heads * latent.plain, .segments = heads, .stride = latent.plain, .columns = latent.plain},
      b_.latent.plain, b_.step)));
  const Activations head_kind = kind_for({weights.k_b.shape.type}, wanted());
  GGUF_FUSE_CHECK(pack(head_kind, b_.latent.plain, heads * latent.plain));
  return multiply({.kind = head_kind, .matrices = {weights.k_b}, .heads = heads}, b_.latent.absorbed);
}

/// Rows [Q heads | K | V], each head [what turns | what does not], as attention wants them.
Result<void> BlockRecorder::latent_heads(const LayerParameters& layer) {
  const LatentParameters& latent = hp_.latent;
  const std::uint32_t heads = layer.heads.heads;
  const std::uint32_t size = layer.heads.size;
  const std::uint32_t row = (heads + 2) * size;
  const std::uint32_t kv_row = latent.kv_rank + latent.rope;
  const std::uint32_t q_size = latent.plain + latent.rope;
  const struct {
    Columns from;
    const Buffer& source;
    Columns to;
  } copies[] = {
      {{.row = heads * q_size, .offset = latent.plain, .segments = heads, .stride = q_size, .columns = latent.rope},
       b_.latent.q,
       {.row = row, .segments = heads, .stride = size, .columns = latent.rope}},
      {{.row = heads * latent.kv_rank, .segments = heads, .stride = latent.kv_rank, .columns = latent.kv_rank},
       b_.latent.absorbed,
       {.row = row, .offset = latent.rope, .segments = heads, .stride = size, .columns = latent.kv_rank}},
      {{.row = kv_row, .offset = latent.kv_rank, .columns = latent.rope},
       b_.latent.kv,
       {.row = row, .offset = heads * size, .columns = latent.rope}},
      {{.row = kv_row, .columns = latent.kv_rank},
       b_.latent.kv,
       {.row = row, .offset = heads * size + latent.rope, .columns = latent.kv_rank}},
      // V is K before it turns. What turns is not read from it; it is there to be a number.
      {{.row = row, .offset = heads * size, .columns = size},
       b_.qkv,
       {.row = row, .offset = (heads + 1) * size, .columns = size}}};
  for (const auto& copy : copies) {
    GGUF_FUSE_CHECK(add(copy_columns(device_, copy.from, copy.source, copy.to, b_.qkv, b_.step)));
  }
  return {};
}

Result<void> BlockRecorder::latent_result(const LayerParameters& layer, const LayerWeights& weights) {
  const LatentParameters& latent = hp_.latent;
  const std::uint32_t heads = layer.heads.heads;
  const std::uint32_t size = layer.heads.size;
  const std::uint32_t columns = heads * latent.kv_rank;
  GGUF_FUSE_CHECK(add(copy_columns(
      device_,
      {.row = heads * size, .offset = latent.rope, .segments = heads, .stride = size, .columns = latent.kv_rank},
      b_.attention, {.row = columns, .segments = heads, .stride = latent.kv_rank, .columns = latent.kv_rank},
      b_.latent.absorbed, b_.step)));
  const Activations head_kind = kind_for({weights.latent.v_b.shape.type}, wanted());
  GGUF_FUSE_CHECK(pack(head_kind, b_.latent.absorbed, columns));
  GGUF_FUSE_CHECK(multiply({.kind = head_kind, .matrices = {weights.latent.v_b}, .heads = heads}, b_.latent.plain));
  const Activations kind = kind_for({weights.output.shape.type}, wanted());
  GGUF_FUSE_CHECK(pack(kind, b_.latent.plain, heads * latent.value));
  return project(weights.output, weights.output_bias, kind, block_end());
}

}  // namespace gguf_fuse::runtime::detail
