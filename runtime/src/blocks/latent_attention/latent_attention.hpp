// SPDX-License-Identifier: MIT
#pragma once

#include "blocks/attention/attention.hpp"

namespace gguf_fuse::runtime::detail {

struct LatentTraits {
  Rope rope = Rope::Norm;
};

/// Heads of Q and one head of keys are [rope | kv_rank] wide here, and values are the kv_rank part.
struct LatentParameters {
  std::uint32_t heads = 0;
  std::uint32_t q_rank = 0;  ///< 0: Q is projected at once
  std::uint32_t kv_rank = 0;
  std::uint32_t plain = 0;  ///< elements of a head of Q that do not turn
  std::uint32_t rope = 0;   ///< and that do
  std::uint32_t value = 0;  ///< elements of a head of the result
};

/// Multi-head latent attention with absorbed projections (DeepSeek-V2, arXiv 2405.04434): attention with one head of
/// keys, which is a compressed vector.
class LatentAttention final : public Block {
 public:
  /// Errors: MissingKey, WrongValueType, BadHyperparameter, UnsupportedHyperparameter.
  [[nodiscard]] static Result<Mixers> read(const Keys& keys, const ModelSizes& sizes, const LatentTraits& traits);

  LatentAttention(const ModelSizes& sizes, const LatentParameters& latent, AttentionParameters core)
      : sizes_(sizes), latent_(latent), core_(std::move(core)) {}

  /// Of what attention itself sees.
  [[nodiscard]] const AttentionParameters& parameters() const { return core_; }
  [[nodiscard]] Result<void> map(LayerTensors& tensors) override;
  void plan(Workspace& workspace) const override;
  [[nodiscard]] Result<void> record(Recorder& recorder) const override;
  [[nodiscard]] std::optional<KeyValueShape> keeps() const override { return KeyValueShape{.heads = core_.heads}; }

 private:
  /// Elements of a head of Q as it is projected.
  [[nodiscard]] std::uint32_t q_head() const { return latent_.plain + latent_.rope; }
  [[nodiscard]] Result<void> record_query(Recorder& recorder, Activations kind) const;
  [[nodiscard]] Result<void> record_heads(Recorder& recorder) const;
  [[nodiscard]] Result<void> record_result(Recorder& recorder) const;

  ModelSizes sizes_;
  LatentParameters latent_;
  AttentionParameters core_;
  Matrix q_a_;  ///< none where Q is projected at once, by q_b_
  Matrix q_b_, kv_a_, k_b_, v_b_, output_;
  Buffer q_a_norm_, kv_a_norm_;  ///< float[rank]
  Buffer output_bias_;           ///< float[embedding]
};

}  // namespace gguf_fuse::runtime::detail
