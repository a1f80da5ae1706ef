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
  Buffer projected;  ///< float[tokens][each head's query and gate, then K and V]

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
  if (traits_.sinks) GGUF_FUSE_CHECK(tensors.floats("attn_sinks.weight", heads.heads, sinks_));
  return map_norms(tensors);
}

Result<void> Attention::map_norms(LayerTensors& tensors) {
  const HeadShape& heads = parameters_.heads;
  GGUF_FUSE_ASSIGN(const bool there, tensors.has({"attn_q_norm.weight", "attn_k_norm.weight"}));
  if (!traits_.head_norm && !traits_.row_norm && !(traits_.head_norm_if_there && there)) return {};
  GGUF_FUSE_CHECK(tensors.floats("attn_q_norm.weight", traits_.row_norm ? heads.q_columns() : heads.size, q_norm_));
  return tensors.floats("attn_k_norm.weight", traits_.row_norm ? heads.kv_columns() : heads.size, k_norm_);
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
  if (traits_.gated_output) {
    auto& columns = workspace.of<GatedScratch>().columns;
    columns = std::max<std::uint64_t>(columns, q_rows() + 2 * parameters_.heads.kv_columns());
  }
  workspace.add_rope(parameters_.angles);
  workspace.widen(parameters_.heads.q_columns());
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
  const Activations kind = recorder.kind_for(qkv_);
  const MatmulShape product{.kind = kind, .matrices = qkv_, .bias = qkv_bias_};
  GGUF_FUSE_CHECK(recorder.input(kind));
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

Result<void> Attention::record_row_norms(Recorder& recorder) const {
  const HeadShape& heads = parameters_.heads;
  const std::uint32_t q = heads.q_columns(), kv = heads.kv_columns();
  const Buffer& qkv = recorder.scratch<AttentionScratch>().qkv;
  const auto norm = [&](std::uint32_t offset, std::uint32_t columns, const Buffer& weight) {
    return recorder.add(norm_columns(recorder.device(), {.row = q + 2 * kv, .offset = offset, .columns = columns},
                                     {.epsilon = sizes_.epsilon, .weight = weight}, qkv, recorder.step()));
  };
  GGUF_FUSE_CHECK(norm(0, q, q_norm_));
  return norm(q, kv, k_norm_);
}

Result<void> Attention::record(Recorder& recorder) const {
  const auto& scratch = recorder.scratch<AttentionScratch>();
  GGUF_FUSE_CHECK(record_projection(recorder));
  if (traits_.row_norm) GGUF_FUSE_CHECK(record_row_norms(recorder));
  GGUF_FUSE_CHECK(record_core(recorder, {.parameters = parameters_,
                                         .epsilon = sizes_.epsilon,
                                         .value_norm = traits_.value_norm,
                                         .q_norm = traits_.row_norm ? Buffer() : q_norm_,
                                         .k_norm = traits_.row_norm ? Buffer() : k_norm_,
                                         .sinks = sinks_}));
  if (traits_.gated_output) {
    const HeadShape& heads = parameters_.heads;
    const Columns result{
        .row = heads.q_columns(), .segments = heads.heads, .stride = heads.size, .columns = heads.size};
    GGUF_FUSE_CHECK(recorder.add(gate_columns(recorder.device(), result, scratch.out, among_gates(true),
                                              recorder.scratch<GatedScratch>().projected, recorder.step())));
  }
  return recorder.project(output_, output_bias_, scratch.out, recorder.output());
}

}  // namespace gguf_fuse::runtime::detail
