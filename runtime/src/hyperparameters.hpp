// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "gguf_fuse/loader/metadata.hpp"
#include "gguf_fuse/runtime/architecture.hpp"

namespace gguf_fuse {

/// How positions become angles. Scaling by `scale` is linear, or YaRN's mix of scaled and unscaled angles.
struct RopeParameters {
  double base = 10000;
  double scale = 1;           ///< of positions: 1 / rope.scaling.factor
  std::uint32_t rotated = 0;  ///< elements of a head that turn
  bool yarn = false;
  double original_context = 0;
  double beta_fast = 32;
  double beta_slow = 1;
  double attention_factor = 1;
};

struct LayerParameters {
  HeadShape heads{};
  std::uint32_t feed_forward = 0;
  bool local = false;  ///< attends over a window only
};

/// The sizes of a model, read from its keys and checked.
struct Hyperparameters {
  const Architecture* architecture = nullptr;
  std::uint32_t embedding = 0;
  std::uint32_t train_context = 0;
  std::vector<LayerParameters> layers{};
  float epsilon = 1e-5F;
  float embedding_factor = 1;
  float q_factor = 1;
  float attention_softcap = 0;
  float final_softcap = 0;
  std::uint32_t window = 0;
  RopeParameters rope{};
  RopeParameters local_rope{};
};

/// Errors: UnsupportedArchitecture, MissingKey, WrongValueType, BadHyperparameter, UnsupportedHyperparameter.
[[nodiscard]] Result<Hyperparameters> read_hyperparameters(const Metadata& metadata, const std::string& path);

/// What the kernels take: the angle of pair i at position 1, and the factor of cos and sin. `factors` divides the
/// frequencies pair by pair (rope_freqs.weight and the like), unless empty.
struct RopeTable {
  std::vector<float> frequencies;
  float magnitude = 1;
};
/// Angles as in RoFormer (arXiv 2104.09864), with YaRN (arXiv 2309.00071) where asked.
[[nodiscard]] RopeTable rope_table(const RopeParameters& parameters, std::span<const float> factors);

}  // namespace gguf_fuse
