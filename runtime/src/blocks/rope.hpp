// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "model/keys.hpp"
#include "model/sizes.hpp"

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

/// The angles of a model's layers: of those that see everything, and of those with a window.
struct RopeSet {
  std::shared_ptr<RopeParameters> global{}, local{};
  bool factors_required = false;  ///< the file has to have rope_freqs
};

struct RopeTraits {
  std::uint32_t head = 0, local_head = 0;  ///< elements of a head, all of which turn unless the file says less
  bool interleaved_sections = false;       ///< sections of M-RoPE take turns
  bool local_unscaled = false;             ///< position scaling and rope factors do not touch layers with a window
};

/// Errors: MissingKey, WrongValueType, BadHyperparameter, UnsupportedHyperparameter.
[[nodiscard]] Result<RopeSet> read_rope(const Keys& keys, const ModelSizes& sizes, const RopeTraits& traits);

/// The angle of each pair at position 1. `factors` divides the frequencies pair by pair (rope_freqs.weight and the
/// like), unless empty. Angles as in RoFormer (arXiv 2104.09864), with YaRN (arXiv 2309.00071) where asked.
[[nodiscard]] std::vector<float> rope_frequencies(const RopeParameters& parameters, std::span<const float> factors);
/// The factor of cos and sin.
[[nodiscard]] float rope_magnitude(const RopeParameters& parameters);
/// How YaRN makes up for the flatter softmax of long contexts: 1 + 0.1 * multiplier * ln(factor).
[[nodiscard]] double yarn_growth(const RopeParameters& parameters, double multiplier);

}  // namespace gguf_fuse::runtime::detail
