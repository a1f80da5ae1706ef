// SPDX-License-Identifier: MIT
#pragma once

#include "blocks/block.hpp"
#include "gguf_fuse/kernels/matmul.hpp"
#include "gguf_fuse/kernels/row_ops.hpp"

namespace gguf_fuse::runtime::detail {

/// What sets an architecture's attention apart. What is left open (biases, factors of rope) the tensors of a file tell.
struct AttentionTraits {
  Rope rope = Rope::Norm;
  bool head_norm = false;           ///< RMS norm of every Q and K head (attn_q_norm, attn_k_norm)
  bool head_norm_if_there = false;  ///< the same, in those models that have the weights
  bool turned_head_norm = false;    ///< the same behind rotary embedding, in all models
  bool row_norm = false;            ///< RMS norm of all heads of Q together, and of K (attn_q_norm, attn_k_norm)
  /// RMS norm without weights of Q and K heads that have turned, but in models of `turned_norm_experts` experts.
  bool turned_norm = false;
  std::uint32_t turned_norm_experts = 0;
  /// Layer norm of every Q and K head with weights of its own, in those models that have the weights.
  bool own_head_norms_if_there = false;
  bool value_norm = false;      ///< RMS norm of every V head, without weights
  bool value_from_key = false;  ///< layers that see everything use the projection of K where they have no attn_v
  bool sinks = false;           ///< a learned score of nothing in each softmax (attn_sinks)
  bool gated_output = false;    ///< each head of attn_q is followed by a gate of its result, whose sigmoid counts
  bool own_gate = false;        ///< such gates have a projection of their own (attn_gate)
  bool output_bias = false;     ///< attn_output has to have a bias; elsewhere it may
  /// Layers with i % pattern < pattern - 1 attend over a window only, unless the file says which; 0: none does.
  std::uint32_t window_pattern = 0;
  bool global_first = false;  ///< those with i % pattern > 0, instead
  std::uint32_t chunk = 0;    ///< windows are chunks of so many positions, whatever the file says; 0: they are not
  std::uint32_t window_layers = 0;    ///< only models of so many layers have windows; 0: all
  bool only_local_turn = false;       ///< where there are windows, layers that see everything have no rotary embedding
  std::uint32_t still_every = 0;      ///< each so-manieth layer has no rotary embedding; 0: all have
  QueryScale still_query_scale{};     ///< of layers without rotary embedding, instead of the file's
  bool local_rope_unscaled = false;   ///< position scaling and rope factors do not touch layers with a window
  bool global_rope_factors = false;   ///< layers that see everything turn by rope_freqs
  bool interleaved_sections = false;  ///< M-RoPE, its sections taking turns; tokens of text have one position
  bool neox_with_sections = false;    ///< pairs are half a head apart in models with sections of M-RoPE
  std::uint32_t rotary_layers = 0;    ///< models of another number of layers have no rotary embedding; 0: all have
  /// Models of this many layers scale queries by sqrt(n_embd / heads) instead of sqrt(head size); 0: none does.
  std::uint32_t wide_query_layers = 0;
  float query_factor = 0;  ///< of queries, where it is no function of sizes

  /// Heads have one kind of norm, and one kind of gate.
  [[nodiscard]] constexpr bool possible() const {
    return head_norm + head_norm_if_there + turned_head_norm + turned_norm + row_norm + own_head_norms_if_there <= 1 &&
           gated_output + own_gate <= 1;
  }
};

/// The attention of one layer.
struct AttentionParameters {
  HeadShape heads{};
  Rope rope = Rope::None;
  std::shared_ptr<const RopeParameters> angles{};
  bool local = false;  ///< attends over a window only
  std::uint32_t window = 0;
  bool chunked = false;      ///< windows begin at multiples of their size
  bool turned_norm = false;  ///< Q and K heads have an RMS norm behind rotary embedding instead of before it
  float softcap = 0;
  float q_factor = 1;
  QueryScale query_scale{};
  float most = 0;  ///< Q, K and V are kept between -most and most; 0: they are not
};

/// Softmax attention with grouped heads (Llama 2, arXiv 2307.09288, section 2.2).
class Attention final : public Block {
 public:
  /// Errors: MissingKey, WrongValueType, BadHyperparameter, UnsupportedHyperparameter.
  [[nodiscard]] static Result<Mixers> read(const Keys& keys, const ModelSizes& sizes, const AttentionTraits& traits);

  Attention(const ModelSizes& sizes, const AttentionTraits& traits, AttentionParameters parameters)
      : sizes_(sizes), traits_(traits), parameters_(std::move(parameters)) {}

  [[nodiscard]] const AttentionParameters& parameters() const { return parameters_; }
  [[nodiscard]] std::uint32_t variant() const override { return parameters_.local ? 1 : 0; }
  [[nodiscard]] Result<void> map(LayerTensors& tensors) override;
  void plan(Workspace& workspace) const override;
  [[nodiscard]] Result<void> record(Recorder& recorder) const override;
  [[nodiscard]] std::optional<KeyValueShape> keeps() const override {
    return KeyValueShape{.heads = parameters_.heads, .window = parameters_.window};
  }

 private:
  [[nodiscard]] Result<void> map_qkv(LayerTensors& tensors);
  [[nodiscard]] Result<void> map_qkv_bias(LayerTensors& tensors);
  [[nodiscard]] Result<void> map_norms(LayerTensors& tensors);
  [[nodiscard]] Result<void> record_wide_norms(Recorder& recorder) const;
  [[nodiscard]] Result<void> record_projection(Recorder& recorder) const;
  /// Rows of attn_q: of queries, and of gates.
  [[nodiscard]] std::uint32_t q_rows() const { return parameters_.heads.q_columns() * (traits_.gated_output ? 2 : 1); }
  [[nodiscard]] bool gated() const { return traits_.gated_output || traits_.own_gate; }
  /// Of Q's heads, or of their results.
  [[nodiscard]] Columns all_heads() const;
  /// Queries in a row of what is projected, or the gates beside them.
  [[nodiscard]] Columns among_gates(bool gates) const;

  ModelSizes sizes_;
  AttentionTraits traits_;
  AttentionParameters parameters_;
  std::vector<Matrix> qkv_;  ///< Q, K and V, or one of all their rows
  Matrix gate_;              ///< none without a gate of its own
  Matrix output_;
  Buffer qkv_bias_;          ///< float[rows of Q, K and V]
  Buffer output_bias_;       ///< float[embedding]
  Buffer q_norm_, k_norm_;   ///< float[head size], or of all heads
  bool wide_norms_ = false;  ///< q_norm_ and k_norm_ are of all heads
  Buffer sinks_;             ///< float[heads]
};

}  // namespace gguf_fuse::runtime::detail
