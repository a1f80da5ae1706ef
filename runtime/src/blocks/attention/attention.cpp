// SPDX-License-Identifier: MIT
#include "blocks/attention/attention.hpp"

#include <algorithm>

#include "blocks/attention/core.hpp"
#include "blocks/recorder.hpp"
#include "gguf_fuse/kernels/delta.hpp"
#include "model/layer_tensors.hpp"

namespace gguf_fuse::runtime::detail {

namespace {

/// What attention with gates is projected to. Rows are tokens.
struct GatedScratch final : BlockScratch {
  std::uint64_t columns = 0;
  Buffer projected;  ///< float[tokens][each head's query and gate, then K and V], or [gates] where these are alone

  [[nodiscard]] Result<void> allocate(const Device& device, std::uint32_t tokens) override {
    return float_rows(device, tokens, columns, projected);
  }
};

}  // namespace

Result<void> Attention::map(LayerTensors& tensors) {
  const HeadShape& heads = parameters_.heads;
  GGUF_FUSE_CHECK(map_qkv(tensors));
  GGUF_FUSE_CHECK(tensors.matrix("attn_output", sizes_.embedding, heads.q_columns(), output_));
  GGUF_FUSE_CHECK(traits_.output_bias ? tensors.floats("attn_output.bias", sizes_.embedding, output_bias_)
                                      : tensors.open_floats("attn_output.bias", sizes_.embedding, output_bias_));
  if (traits_.own_gate) {
    GGUF_FUSE_CHECK(tensors.matrix("attn_gate", heads.q_columns(), sizes_.embedding, gate_));
  }
  if (traits_.sinks) GGUF_FUSE_CHECK(tensors.floats("attn_sinks.weight", heads.heads, sinks_));
  return map_norms(tensors);
}

Result<void> Attention::map_norms(LayerTensors& tensors) {
  const HeadShape& heads = parameters_.heads;
  GGUF_FUSE_ASSIGN(const bool there, tensors.has({"attn_q_norm.weight", "attn_k_norm.weight"}));
  const bool own = traits_.own_head_norms_if_there && there;
  const bool always = traits_.head_norm || traits_.turned_head_norm || traits_.row_norm;
  if (!always && !(traits_.head_norm_if_there && there) && !own) return {};
  wide_norms_ = traits_.row_norm || own;
  const auto floats = [&](std::string_view part, std::uint32_t count, Buffer& out) {
    return tensors.floats(part, wide_norms_ ? count * heads.size : heads.size, out, own ? count : 1);
  };
  GGUF_FUSE_CHECK(floats("attn_q_norm.weight", heads.heads, q_norm_));
  return floats("attn_k_norm.weight", heads.kv_heads, k_norm_);
}

Result<void> Attention::map_qkv(LayerTensors& tensors) {
  const HeadShape& heads = parameters_.heads;
  // The projection of K serves as V, too.
  bool no_value = false;
  if (traits_.value_from_key && !parameters_.local) {
    GGUF_FUSE_ASSIGN(const bool there, tensors.has({"attn_v.weight"}, Peers::Variant));
    no_value = !there;
  }
  GGUF_FUSE_CHECK(tensors.matrices({{.name = "attn_q", .rows = q_rows()},
                                    {.name = "attn_k", .rows = heads.kv_columns()},
                                    {.name = no_value ? "attn_k" : "attn_v", .rows = heads.kv_columns()}},
                                   sizes_.embedding, qkv_));
  return map_qkv_bias(tensors);
}

Result<void> Attention::map_qkv_bias(LayerTensors& tensors) {
  GGUF_FUSE_ASSIGN(const bool there, tensors.has({"attn_q.bias", "attn_k.bias", "attn_v.bias"}));
  if (!there) return {};
  const std::uint64_t q = parameters_.heads.q_columns(), kv = parameters_.heads.kv_columns();
  const std::uint64_t all = q + 2 * kv;
  GGUF_FUSE_CHECK(tensors.floats_at("attn_q.bias", q, 0, all, qkv_bias_));
  GGUF_FUSE_CHECK(tensors.floats_at("attn_k.bias", kv, q, all, qkv_bias_));
  return tensors.floats_at("attn_v.bias", kv, q + kv, all, qkv_bias_);
}

void Attention::plan(Workspace& workspace) const {
  workspace.of<AttentionScratch>().widen(parameters_.heads);
  if (gated()) {
    const std::uint64_t beside = traits_.own_gate ? 0 : 2 * parameters_.heads.kv_columns();
    auto& columns = workspace.of<GatedScratch>().columns;
    columns = std::max(columns, q_rows() + beside);
  }
  workspace.add_rope(parameters_.angles);
  workspace.widen(parameters_.heads.q_columns());
}

Columns Attention::all_heads() const {
  const HeadShape& heads = parameters_.heads;
  return {.row = heads.q_columns(), .segments = heads.heads, .stride = heads.size, .columns = heads.size};
}

Columns Attention::among_gates(bool gates) const {
  const HeadShape& heads = parameters_.heads;
  return {.row = q_rows() + 2 * heads.kv_columns(),
          .offset = gates ? heads.size : 0,
          .segments = heads.heads,
          .stride = 2 * heads.size,
          .columns = heads.size};
}

Result<void> Attention::record_projection(Recorder& recorder) const {
  const auto& scratch = recorder.scratch<AttentionScratch>();
  std::vector<Matrix> reads = qkv_;
  if (traits_.own_gate) reads.push_back(gate_);
  const Activations kind = recorder.kind_for(reads);
  const MatmulShape product{.kind = kind, .matrices = qkv_, .bias = qkv_bias_};
  GGUF_FUSE_CHECK(recorder.input(kind));
  if (traits_.own_gate) {
    GGUF_FUSE_CHECK(recorder.multiply({.kind = kind, .matrices = {gate_}}, recorder.scratch<GatedScratch>().projected));
  }
  if (!traits_.gated_output) return recorder.multiply(product, scratch.qkv);
  const HeadShape& heads = parameters_.heads;
  const Buffer& projected = recorder.scratch<GatedScratch>().projected;
  const std::uint32_t q = heads.q_columns(), kv = 2 * heads.kv_columns();
  GGUF_FUSE_CHECK(recorder.multiply(product, projected));
  const Columns queries{.row = q + kv, .segments = heads.heads, .stride = heads.size, .columns = heads.size};
  GGUF_FUSE_CHECK(recorder.add(
      copy_columns(recorder.device(), among_gates(false), projected, queries, scratch.qkv, recorder.step())));
  return recorder.add(copy_columns(recorder.device(), {.row = q_rows() + kv, .offset = q_rows(), .columns = kv},
                                   projected, {.row = q + kv, .offset = q, .columns = kv}, scratch.qkv,
                                   recorder.step()));
}

Result<void> Attention::record_wide_norms(Recorder& recorder) const {
  const HeadShape& heads = parameters_.heads;
  const std::uint32_t q = heads.q_columns(), kv = heads.kv_columns();
  const Buffer& qkv = recorder.scratch<AttentionScratch>().qkv;
  const bool own = traits_.own_head_norms_if_there;
  const auto norm = [&](std::uint32_t offset, std::uint32_t count, const Buffer& weight) {
    const Columns columns{.row = q + 2 * kv,
                          .offset = offset,
                          .segments = own ? count : 1,
                          .stride = heads.size,
                          .columns = own ? heads.size : count * heads.size};
    const ColumnsNorm kind{
        .kind = own ? Norm::Layer : Norm::Rms, .epsilon = sizes_.epsilon, .each_segment = own, .weight = weight};
    return recorder.add(norm_columns(recorder.device(), columns, kind, qkv, recorder.step()));
  };
  GGUF_FUSE_CHECK(norm(0, heads.heads, q_norm_));
  return norm(q, heads.kv_heads, k_norm_);
}

Result<void> Attention::record(Recorder& recorder) const {
  const auto& scratch = recorder.scratch<AttentionScratch>();
  GGUF_FUSE_CHECK(record_projection(recorder));
  if (parameters_.most > 0) {
    const std::uint32_t columns = parameters_.heads.q_columns() + 2 * parameters_.heads.kv_columns();
    GGUF_FUSE_CHECK(
        recorder.add(clamp_rows(recorder.device(), columns, parameters_.most, scratch.qkv, recorder.step())));
  }
  if (wide_norms_) GGUF_FUSE_CHECK(record_wide_norms(recorder));
  GGUF_FUSE_CHECK(record_core(recorder, {.parameters = parameters_,
                                         .epsilon = sizes_.epsilon,
                                         .value_norm = traits_.value_norm,
                                         .q_norm = wide_norms_ ? Buffer() : q_norm_,
                                         .k_norm = wide_norms_ ? Buffer() : k_norm_,
                                         .sinks = sinks_}));
  if (gated()) {
    const Columns gates = traits_.own_gate ? all_heads() : among_gates(true);
    GGUF_FUSE_CHECK(recorder.add(gate_columns(recorder.device(), all_heads(), scratch.out, gates,
                                              recorder.scratch<GatedScratch>().projected, recorder.step())));
  }
  return recorder.project(output_, output_bias_, scratch.out, recorder.output());
}

}  // namespace gguf_fuse::runtime::detail
