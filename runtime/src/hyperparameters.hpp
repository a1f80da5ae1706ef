// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "gguf_fuse/loader/metadata.hpp"
#include "gguf_fuse/runtime/architecture.hpp"

namespace gguf_fuse::runtime::detail {

/// How positions become angles. Scaling by `scale` is linear, or YaRN's mix of scaled and unscaled angles.
struct RopeParameters {
  double base = 10000;
  double scale = 1;           ///< of positions: 1 / rope.scaling.factor
  std::uint32_t rotated = 0;  ///< elements of a head that turn
  bool yarn = false;
  bool factors = true;               ///< rope_freqs and the like apply
  bool two_sets_of_factors = false;  ///< LongRoPE: for texts within the original context, and for longer ones
  double original_context = 0;
  double beta_fast = 32;
  double beta_slow = 1;
  double attention_factor = 1;
  std::vector<bool> still_pairs{};  ///< pairs that do not turn (sections of M-RoPE that text has no position in)
};

struct LayerParameters {
  HeadShape heads{};
  std::uint32_t feed_forward = 0;  ///< of the dense part: all of it, or what lies beside the experts; 0: none
  bool local = false;              ///< attends over a window only
  bool turns = true;               ///< has rotary embedding
  bool experts = false;
};

/// The mixture of those layers that have one.
struct ExpertParameters {
  RouterShape router{};
  std::uint32_t feed_forward = 0;
};

/// Multi-head latent attention with absorbed projections (DeepSeek-V2, arXiv 2405.04434): heads of Q and one head of
/// keys are [rope | kv_rank] wide here, and values are the kv_rank part.
struct LatentParameters {
  std::uint32_t q_rank = 0;  ///< 0: Q is projected at once
  std::uint32_t kv_rank = 0;
  std::uint32_t plain = 0;  ///< elements of a head of Q that do not turn
  std::uint32_t rope = 0;   ///< and that do
  std::uint32_t value = 0;  ///< elements of a head of the result
};

/// The sizes of a model, read from its keys and checked.
struct Hyperparameters {
  const Architecture* architecture = nullptr;
  std::uint32_t embedding = 0;
  std::uint32_t train_context = 0;
  std::vector<LayerParameters> layers{};
  std::uint32_t next_token_layers = 0;  ///< behind them, for speculation: not used
  ExpertParameters experts{};
  LatentParameters latent{};
  float epsilon = 1e-5F;
  float embedding_factor = 1;
  float residual_factor = 1;  ///< of what a block adds
  float logit_factor = 1;
  float q_factor = 1;
  float attention_softcap = 0;
  float final_softcap = 0;
  std::uint32_t window = 0;
  RopeParameters rope{};
  RopeParameters local_rope{};

  [[nodiscard]] const RopeParameters& rope_of(const LayerParameters& layer) const {
    return layer.local ? local_rope : rope;
  }
};

/// Errors: UnsupportedArchitecture, MissingKey, WrongValueType, BadHyperparameter, UnsupportedHyperparameter.
[[nodiscard]] Result<Hyperparameters> read_hyperparameters(const Metadata& metadata, const std::string& path);

/// The angle of each pair at position 1. `factors` divides the frequencies pair by pair (rope_freqs.weight and the
/// like), unless empty. Angles as in RoFormer (arXiv 2104.09864), with YaRN (arXiv 2309.00071) where asked.
[[nodiscard]] std::vector<float> rope_frequencies(const RopeParameters& parameters, std::span<const float> factors);
/// The factor of cos and sin.
[[nodiscard]] float rope_magnitude(const RopeParameters& parameters);

}  // namespace gguf_fuse::runtime::detail
