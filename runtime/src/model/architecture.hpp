// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <variant>

#include "blocks/attention/attention.hpp"
#include "blocks/latent_attention/latent_attention.hpp"
#include "blocks/mixture/mixture.hpp"

namespace gguf_fuse::runtime::detail {

/// How an architecture's layers are put together of kinds of blocks, and what sets each of them apart: data, one file
/// of runtime/architectures/ each. Everything else is read from the model: sizes from its keys; biases, rope factors
/// and a separate output matrix from which tensors exist. What an architecture leaves open is in all layers of a kind
/// or in none.
struct Architecture {
  std::string_view name;  ///< general.architecture
  std::variant<AttentionTraits, LatentTraits> mixer{};
  std::optional<MixtureTraits> mixture{};  ///< of those models that have experts; none: no model has
  GateActivation activation = GateActivation::Silu;
  bool post_norms = false;  ///< RMS norm behind attention and feed-forward (post_attention_norm, post_ffw_norm)
  std::string_view feed_forward_norm = "ffn_norm";
  bool scaled_embedding = false;  ///< embeddings times sqrt(n_embd)
  bool granite_scales = false;    ///< factors of embeddings, residual branches and logits in keys
  bool own_output = false;        ///< output.weight has to be there; elsewhere the embeddings serve in its absence

  /// Null where layers have no grouped heads.
  [[nodiscard]] constexpr const AttentionTraits* attention() const { return std::get_if<AttentionTraits>(&mixer); }
  /// Whether its parts fit together.
  [[nodiscard]] constexpr bool possible() const { return post_norms || !mixture || !mixture->dense_beside; }
};

/// All architectures that can be run, by name.
[[nodiscard]] GGUF_FUSE_EXPORT std::span<const Architecture> architectures();
[[nodiscard]] GGUF_FUSE_EXPORT const Architecture* find_architecture(std::string_view name);

}  // namespace gguf_fuse::runtime::detail
