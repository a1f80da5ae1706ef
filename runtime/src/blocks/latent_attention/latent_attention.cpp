// SPDX-License-Identifier: MIT
#include "blocks/latent_attention/latent_attention.hpp"

#include <algorithm>

#include "blocks/attention/core.hpp"
#include "blocks/recorder.hpp"
#include "gguf_fuse/kernels/row_ops.hpp"
#include "model/layer_tensors.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

/// What latent attention works in beside attention itself. Rows are tokens.
struct LatentScratch final : BlockScratch {
  std::uint64_t q_rank = 0, q_columns = 0, kv_columns = 0, plain_columns = 0, absorbed_columns = 0;
  Buffer low;       ///< float[tokens][q_rank]
  Buffer q;         ///< float[tokens][heads][plain + rope]
  Buffer kv;        ///< float[tokens][kv_rank + rope]
  Buffer plain;     ///< float[tokens][heads][plain], and [value] at the end
  Buffer absorbed;  ///< float[tokens][heads][kv_rank]

  [[nodiscard]] Result<void> allocate(const Device& device, std::uint32_t tokens) override {
    GGUF_FUSE_CHECK(float_rows(device, tokens, q_rank, low));
    GGUF_FUSE_CHECK(float_rows(device, tokens, q_columns, q));
    GGUF_FUSE_CHECK(float_rows(device, tokens, kv_columns, kv));
    GGUF_FUSE_CHECK(float_rows(device, tokens, plain_columns, plain));
    return float_rows(device, tokens, absorbed_columns, absorbed);
  }
};

}  // namespace

Result<void> LatentAttention::map(LayerTensors& tensors) {
  const std::uint64_t heads = latent_.heads, q = heads * q_head();
  if (latent_.q_rank > 0) {
    GGUF_FUSE_CHECK(tensors.matrix("attn_q_a", latent_.q_rank, sizes_.embedding, q_a_));
    GGUF_FUSE_CHECK(tensors.floats("attn_q_a_norm.weight", latent_.q_rank, q_a_norm_));
    GGUF_FUSE_CHECK(tensors.matrix("attn_q_b", q, latent_.q_rank, q_b_));
  } else {
    GGUF_FUSE_CHECK(tensors.matrix("attn_q", q, sizes_.embedding, q_b_));
  }
  GGUF_FUSE_CHECK(tensors.matrix("attn_kv_a_mqa", latent_.kv_rank + latent_.rope, sizes_.embedding, kv_a_));
  GGUF_FUSE_CHECK(tensors.floats("attn_kv_a_norm.weight", latent_.kv_rank, kv_a_norm_));
  GGUF_FUSE_CHECK(tensors.matrix("attn_k_b", heads * latent_.kv_rank, latent_.plain, k_b_));
  GGUF_FUSE_CHECK(tensors.matrix("attn_v_b", heads * latent_.value, latent_.kv_rank, v_b_));
  GGUF_FUSE_CHECK(tensors.matrix("attn_output", sizes_.embedding, heads * latent_.value, output_));
  return tensors.open_floats("attn_output.bias", sizes_.embedding, output_bias_);
}

void LatentAttention::plan(Workspace& workspace) const {
  const std::uint64_t heads = latent_.heads;
  auto& scratch = workspace.of<LatentScratch>();
  const auto widen = [](std::uint64_t& columns, std::uint64_t needed) { columns = std::max(columns, needed); };
  widen(scratch.q_rank, latent_.q_rank);
  widen(scratch.q_columns, heads * q_head());
  widen(scratch.kv_columns, latent_.kv_rank + latent_.rope);
  widen(scratch.plain_columns, heads * std::max(latent_.plain, latent_.value));
  widen(scratch.absorbed_columns, heads * latent_.kv_rank);
  workspace.of<AttentionScratch>().widen(core_.heads);
  workspace.add_rope(core_.angles);
  workspace.widen(std::max<std::uint64_t>(latent_.q_rank, core_.heads.q_columns()));
  workspace.widen(heads * std::max({latent_.plain, latent_.kv_rank, latent_.value}));
}

Result<void> LatentAttention::record(Recorder& recorder) const {
  const auto& scratch = recorder.scratch<LatentScratch>();
  const Activations kind = recorder.kind_for({latent_.q_rank > 0 ? q_a_ : q_b_, kv_a_});
  GGUF_FUSE_CHECK(recorder.input(kind));
  GGUF_FUSE_CHECK(recorder.multiply({.kind = kind, .matrices = {kv_a_}}, scratch.kv));
  const Columns latent{.row = latent_.kv_rank + latent_.rope, .columns = latent_.kv_rank};
  GGUF_FUSE_CHECK(recorder.add(norm_columns(
      recorder.device(), latent, {.epsilon = sizes_.epsilon, .weight = kv_a_norm_}, scratch.kv, recorder.step())));
  GGUF_FUSE_CHECK(record_query(recorder, kind));
  GGUF_FUSE_CHECK(record_heads(recorder));
  GGUF_FUSE_CHECK(record_core(recorder, {.parameters = core_, .epsilon = sizes_.epsilon}));
  return record_result(recorder);
}

/// Q, then its plain part seen through the projection of keys.
Result<void> LatentAttention::record_query(Recorder& recorder, Activations kind) const {
  const auto& scratch = recorder.scratch<LatentScratch>();
  if (latent_.q_rank > 0) {
    GGUF_FUSE_CHECK(recorder.multiply({.kind = kind, .matrices = {q_a_}}, scratch.low));
    kind = recorder.kind_for({q_b_});
    GGUF_FUSE_CHECK(recorder.pack_norm(kind, scratch.low, latent_.q_rank, q_a_norm_));
  }
  GGUF_FUSE_CHECK(recorder.multiply({.kind = kind, .matrices = {q_b_}}, scratch.q));
  const std::uint32_t heads = latent_.heads;
  GGUF_FUSE_CHECK(recorder.add(copy_columns(
      recorder.device(), {.row = heads * q_head(), .segments = heads, .stride = q_head(), .columns = latent_.plain},
      scratch.q, {.row = heads * latent_.plain, .segments = heads, .stride = latent_.plain, .columns = latent_.plain},
      scratch.plain, recorder.step())));
  const Activations head_kind = recorder.kind_for({k_b_});
  GGUF_FUSE_CHECK(recorder.pack(head_kind, scratch.plain, heads * latent_.plain));
  return recorder.multiply({.kind = head_kind, .matrices = {k_b_}, .heads = heads}, scratch.absorbed);
}

/// Rows [Q heads | K | V], each head [what turns | what does not], as attention wants them.
Result<void> LatentAttention::record_heads(Recorder& recorder) const {
  const auto& scratch = recorder.scratch<LatentScratch>();
  const Buffer& qkv = recorder.scratch<AttentionScratch>().qkv;
  const std::uint32_t heads = latent_.heads, size = core_.heads.size;
  const std::uint32_t row = (heads + 2) * size, kv_row = latent_.kv_rank + latent_.rope;
  const struct {
    Columns from;
    const Buffer& source;
    Columns to;
  } copies[] = {
      {{.row = heads * q_head(),
        .offset = latent_.plain,
        .segments = heads,
        .stride = q_head(),
        .columns = latent_.rope},
       scratch.q,
       {.row = row, .segments = heads, .stride = size, .columns = latent_.rope}},
      {{.row = heads * latent_.kv_rank, .segments = heads, .stride = latent_.kv_rank, .columns = latent_.kv_rank},
       scratch.absorbed,
       {.row = row, .offset = latent_.rope, .segments = heads, .stride = size, .columns = latent_.kv_rank}},
      {{.row = kv_row, .offset = latent_.kv_rank, .columns = latent_.rope},
       scratch.kv,
       {.row = row, .offset = heads * size, .columns = latent_.rope}},
      {{.row = kv_row, .columns = latent_.kv_rank},
       scratch.kv,
       {.row = row, .offset = heads * size + latent_.rope, .columns = latent_.kv_rank}},
      // V is K before it turns. What turns is not read from it; it is there to be a number.
      {{.row = row, .offset = heads * size, .columns = size},
       qkv,
       {.row = row, .offset = (heads + 1) * size, .columns = size}}};
  for (const auto& copy : copies) {
    GGUF_FUSE_CHECK(
        recorder.add(copy_columns(recorder.device(), copy.from, copy.source, copy.to, qkv, recorder.step())));
  }
  return {};
}

Result<void> LatentAttention::record_result(Recorder& recorder) const {
  const auto& scratch = recorder.scratch<LatentScratch>();
  const std::uint32_t heads = latent_.heads, size = core_.heads.size, columns = heads * latent_.kv_rank;
  GGUF_FUSE_CHECK(recorder.add(copy_columns(
      recorder.device(),
      {.row = heads * size, .offset = latent_.rope, .segments = heads, .stride = size, .columns = latent_.kv_rank},
      recorder.scratch<AttentionScratch>().out,
      {.row = columns, .segments = heads, .stride = latent_.kv_rank, .columns = latent_.kv_rank}, scratch.absorbed,
      recorder.step())));
  const Activations head_kind = recorder.kind_for({v_b_});
  GGUF_FUSE_CHECK(recorder.pack(head_kind, scratch.absorbed, columns));
  GGUF_FUSE_CHECK(recorder.multiply({.kind = head_kind, .matrices = {v_b_}, .heads = heads}, scratch.plain));
  return recorder.project(output_, output_bias_, scratch.plain, recorder.output());
}

}  // namespace gguf_fuse::runtime::detail
