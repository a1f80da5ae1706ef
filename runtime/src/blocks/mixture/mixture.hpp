// SPDX-License-Identifier: MIT
#pragma once

#include <optional>

#include "blocks/dense/dense.hpp"
#include "blocks/recorder.hpp"
#include "gguf_fuse/kernels/experts.hpp"

namespace gguf_fuse::runtime::detail {

struct MixtureTraits {
  Gating gating = Gating::Softmax;  ///< unless expert_gating_func says it
  bool normalised = true;           ///< weights of the chosen experts sum up to 1, unless expert_weights_norm says it
  bool dense_beside = false;        ///< a dense feed-forward and the experts, each between norms of its own
  bool biases = false;              ///< the router and the experts have biases
  bool shared_gate = false;         ///< the shared expert is behind a gate (ffn_gate_inp_shexp)
  bool selection_bias = false;      ///< experts are chosen with a bias (exp_probs_b)
  bool selection_bias_if_there = false;  ///< the same, in those models that have it
  bool router_ahead = false;             ///< experts are chosen by the residual stream before attention, without a norm
  bool weighs_input = false;             ///< weights multiply what experts read, and not what they say
  bool shared_like_experts = false;  ///< a shared expert whose size the file does not give is as large as the others
};

/// The mixture of those layers that have one.
struct MixtureParameters {
  RouterShape router{};
  std::uint32_t embedding = 0;
  std::uint32_t size = 0;     ///< of an expert: expert_feed_forward_length
  std::uint32_t shared = 0;   ///< of what every token sees beside them; 0: nothing
  std::uint32_t leading = 0;  ///< so many layers are dense
  std::uint32_t every = 1;    ///< of the others, too, all but each so-manieth of all layers
  bool weighs_input = false;  ///< weights multiply what experts read
  Activation activation = Activation::Silu;
  float epsilon = 1e-5F;

  [[nodiscard]] bool in_layer(std::size_t index) const { return index >= leading && (index + 1) % every == 0; }

  /// `dense` is feed_forward_length, or 0. None where a model has no experts. Errors: MissingKey, WrongValueType,
  /// BadHyperparameter, UnsupportedHyperparameter.
  [[nodiscard]] static Result<std::optional<MixtureParameters>> read(const Keys& keys, const ModelSizes& sizes,
                                                                     const MixtureTraits& traits, std::uint32_t dense);
};

/// The experts of a layer and what chooses them.
class Experts {
 public:
  Experts(const MixtureParameters& parameters, const MixtureTraits& traits)
      : parameters_(parameters), traits_(traits) {}

  [[nodiscard]] const MixtureParameters& parameters() const { return parameters_; }
  [[nodiscard]] Result<void> map(LayerTensors& tensors);
  void plan(Workspace& workspace) const;
  /// What the router, and the gate of a shared expert, read.
  [[nodiscard]] std::vector<Matrix> router_reads() const;
  [[nodiscard]] std::vector<Matrix> reads() const;
  /// Chooses, by what is packed for the router; logits are multiplied by `factor`.
  [[nodiscard]] Result<void> choose(Recorder& recorder, float factor) const;
  /// The chosen experts on what is packed as `kind`.
  [[nodiscard]] Result<void> compute(Recorder& recorder, Activations kind, const Recorder::Target& target) const;
  /// float[tokens], of the shared expert; none without such a gate.
  [[nodiscard]] Buffer shared_gate(const Recorder& recorder) const;

 private:
  [[nodiscard]] Result<void> map_biases(LayerTensors& tensors);

  MixtureParameters parameters_;
  MixtureTraits traits_;
  Matrix router_;
  Matrix shared_gate_;  ///< one row, whose sigmoid is the shared expert's factor; or no type
  ExpertMatrix gate_, up_, down_;
  Buffer router_bias_, selection_bias_;  ///< float[experts]
  Buffer factor_;                        ///< float[experts], of each expert's result
  Buffer gate_bias_, up_bias_;           ///< float[experts][feed-forward]
  Buffer down_bias_;                     ///< float[experts][embedding]
};

/// Experts, and shared ones that every token sees, on the same normalised input.
class Mixture final : public Block {
 public:
  Mixture(const MixtureParameters& parameters, const MixtureTraits& traits);

  [[nodiscard]] const MixtureParameters& parameters() const { return experts_.parameters(); }
  [[nodiscard]] Result<void> map(LayerTensors& tensors) override;
  void plan(Workspace& workspace) const override;
  [[nodiscard]] Result<void> record(Recorder& recorder) const override;
  [[nodiscard]] bool looks_ahead() const override { return router_ahead_; }
  [[nodiscard]] Result<void> record_ahead(Recorder& recorder) const override;
  [[nodiscard]] const RouterShape* router() const override { return &experts_.parameters().router; }

 private:
  Experts experts_;
  std::optional<DenseNetwork> shared_;
  bool router_ahead_;
};

/// A dense part and experts, each between norms of its own; their sum waits for the layer's norm (Gemma 4).
class MixtureBesideDense final : public Block {
 public:
  MixtureBesideDense(const MixtureParameters& parameters, const MixtureTraits& traits, std::uint32_t dense);

  [[nodiscard]] const MixtureParameters& parameters() const { return experts_.parameters(); }
  [[nodiscard]] const DenseParameters& dense() const { return dense_.parameters(); }
  [[nodiscard]] Result<void> map(LayerTensors& tensors) override;
  void plan(Workspace& workspace) const override;
  [[nodiscard]] Result<void> record(Recorder& recorder) const override;
  [[nodiscard]] const RouterShape* router() const override { return &experts_.parameters().router; }

 private:
  Experts experts_;
  DenseNetwork dense_;
  /// What the router reads is normalised by router_norm. float[embedding] each.
  Buffer router_norm_, norm_, post_norm_, dense_post_norm_;
};

}  // namespace gguf_fuse::runtime::detail
