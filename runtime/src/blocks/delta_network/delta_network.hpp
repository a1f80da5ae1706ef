// SPDX-License-Identifier: MIT
#pragma once

#include "blocks/attention/attention.hpp"
#include "gguf_fuse/kernels/delta.hpp"

namespace gguf_fuse::runtime::detail {

/// Layers of a gated delta network, and attention in every so-manieth layer.
struct DeltaTraits {
  AttentionTraits attention{};
  KeyHeads order = KeyHeads::Tiled;  ///< which key head a value head has
  bool joined_gates = false;         ///< one tensor (ssm_ba) has beta and alpha, key head by key head
};

struct DeltaParameters {
  std::uint32_t key_heads = 0;
  std::uint32_t value_heads = 0;
  std::uint32_t size = 0;   ///< elements of a head of keys, and of values
  std::uint32_t width = 0;  ///< of the convolution

  [[nodiscard]] std::uint32_t values() const { return value_heads * size; }
  /// Queries, keys and values, in this order.
  [[nodiscard]] std::uint32_t channels() const { return 2 * key_heads * size + values(); }
};

/// A gated delta network (arXiv 2412.06464): short convolution over time, gated delta rule, gated norm.
class DeltaNetwork final : public Block {
 public:
  /// Errors: MissingKey, WrongValueType, BadHyperparameter, UnsupportedHyperparameter.
  [[nodiscard]] static Result<Mixers> read(const Keys& keys, const ModelSizes& sizes, const DeltaTraits& traits);

  DeltaNetwork(const ModelSizes& sizes, const DeltaTraits& traits, const DeltaParameters& parameters)
      : sizes_(sizes), traits_(traits), delta_(parameters) {}

  [[nodiscard]] Result<void> map(LayerTensors& tensors) override;
  void plan(Workspace& workspace) const override;
  [[nodiscard]] Result<void> record(Recorder& recorder) const override;
  [[nodiscard]] std::vector<std::uint64_t> states() const override;

 private:
  [[nodiscard]] ConvShape conv_shape(std::uint32_t tokens, std::uint32_t sequences) const;
  [[nodiscard]] DeltaShape delta_shape(std::uint32_t tokens, std::uint32_t sequences) const;
  [[nodiscard]] Result<void> record_projections(Recorder& recorder) const;

  ModelSizes sizes_;
  DeltaTraits traits_;
  DeltaParameters delta_;
  std::vector<Matrix> projection_;  ///< of queries, keys and values, and of z, which gates the result
  std::vector<Matrix> gates_;       ///< beta and alpha, or both in one
  Matrix output_;
  Buffer conv_;    ///< float[channels][width]
  Buffer a_, dt_;  ///< float[value heads]
  Buffer norm_;    ///< float[size]
};

}  // namespace gguf_fuse::runtime::detail
