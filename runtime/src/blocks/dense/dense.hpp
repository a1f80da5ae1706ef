// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "blocks/block.hpp"
#include "gguf_fuse/kernels/matmul.hpp"
#include "gguf_fuse/kernels/row_ops.hpp"
#include "model/layer_tensors.hpp"

namespace gguf_fuse::runtime::detail {

/// What sets an architecture's dense feed-forward apart.
struct DenseTraits {
  bool gated = true;            ///< else the activation is of up alone
  bool xielu = false;           ///< the activation is xIELU, whose numbers the file's keys give layer by layer
  bool length_of_both = false;  ///< feed_forward_length counts the rows of gate and up together

  [[nodiscard]] constexpr bool possible() const { return !gated || !xielu; }
};

struct DenseParameters {
  std::uint32_t embedding = 0;
  std::uint32_t size = 0;  ///< feed_forward_length; 0: the file has none
  Activation activation = Activation::Silu;
  bool gated = true;
  std::optional<Xielu> xielu{};  ///< in the place of the activation

  /// One a layer, also of those for speculation. Errors: MissingKey where a model without experts gives no length,
  /// WrongValueType, BadHyperparameter.
  [[nodiscard]] static Result<std::vector<DenseParameters>> read(const Keys& keys, const ModelSizes& sizes,
                                                                 const DenseTraits& traits, Activation activation);
};

/// A feed-forward network, gated (GLU variants, arXiv 2002.05202) or not: all of a layer's, or what lies beside its
/// experts.
class DenseNetwork {
 public:
  /// `suffix` is of the names of its tensors: ffn_gate_shexp is behind "_shexp".
  explicit DenseNetwork(const DenseParameters& parameters, std::string suffix = {})
      : parameters_(parameters), suffix_(std::move(suffix)) {}

  [[nodiscard]] const DenseParameters& parameters() const { return parameters_; }
  [[nodiscard]] Result<void> map(LayerTensors& tensors);
  void plan(Workspace& workspace) const;
  /// What its input is packed as.
  [[nodiscard]] std::vector<Matrix> reads() const;
  /// Of what is packed as `kind`; `gate` is a factor of each token's result (float[tokens], its sigmoid counts), or
  /// none.
  [[nodiscard]] Result<void> record(Recorder& recorder, Activations kind, const Buffer& gate, const Buffer& out,
                                    Epilogue epilogue) const;

 private:
  DenseParameters parameters_;
  std::string suffix_;
  Matrix gate_, up_, down_;
  Buffer gate_up_bias_;  ///< float[2][feed-forward], or of up alone
  Buffer down_bias_;     ///< float[embedding]
};

/// A layer's feed-forward that is dense.
class Dense final : public Block {
 public:
  explicit Dense(const DenseParameters& parameters) : network_(parameters) {}

  [[nodiscard]] const DenseParameters& parameters() const { return network_.parameters(); }
  [[nodiscard]] Result<void> map(LayerTensors& tensors) override { return network_.map(tensors); }
  void plan(Workspace& workspace) const override { network_.plan(workspace); }
  [[nodiscard]] Result<void> record(Recorder& recorder) const override;

 private:
  DenseNetwork network_;
};

}  // namespace gguf_fuse::runtime::detail
