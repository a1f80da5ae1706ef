// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <variant>

#include "blocks/attention/attention.hpp"
#include "blocks/delta_network/delta_network.hpp"
#include "blocks/latent_attention/latent_attention.hpp"
#include "blocks/mixture/mixture.hpp"

namespace gguf_fuse::runtime::detail {

/// How an architecture's layers are put together of kinds of blocks, and what sets each of them apart: data, one file
/// of runtime/architectures/ each. Everything else is read from the model: sizes from its keys; biases, rope factors
/// and a separate output matrix from which tensors exist. What an architecture leaves open is in all layers of a kind
/// or in none.
struct Architecture {
  std::string_view name;  ///< general.architecture
  std::variant<AttentionTraits, LatentTraits, DeltaTraits> mixer{};
  std::optional<MixtureTraits> mixture{};  ///< of those models that have experts; none: no model has
  Activation activation = Activation::Silu;
  bool gated = true;         ///< feed-forward networks have a gate; else the activation is of up alone
  Norm norm = Norm::Rms;     ///< before attention, feed-forward and output
  bool norm_biases = false;  ///< those norms have biases
  bool pre_norms = true;     ///< attention and feed-forward read the residual stream through a norm
  bool post_norms = false;   ///< RMS norm behind attention and feed-forward (post_attention_norm, post_ffw_norm)
  std::string_view feed_forward_norm = "ffn_norm";
  bool parallel = false;                ///< the feed-forward reads what attention reads, and not what it adds
  bool scaled_embedding = false;        ///< embeddings times sqrt(n_embd)
  bool logit_scale_multiplies = false;  ///< logits are multiplied by the key logit_scale, and not divided
  bool own_output = false;  ///< output.weight has to be there; elsewhere the embeddings serve in its absence

  /// Null where no layer has grouped heads.
  [[nodiscard]] constexpr const AttentionTraits* attention() const {
    const auto* const delta = std::get_if<DeltaTraits>(&mixer);
    return delta != nullptr ? &delta->attention : std::get_if<AttentionTraits>(&mixer);
  }
  /// Whether its parts fit together: each side of dense_beside ends in a norm, and what is added in parallel in none.
  [[nodiscard]] constexpr bool possible() const {
    const bool beside = mixture && mixture->dense_beside;
    return (post_norms || !beside) && !(post_norms && parallel) && (pre_norms || post_norms) && (gated || !mixture);
  }
};

/// All architectures that can be run, by name.
[[nodiscard]] GGUF_FUSE_EXPORT std::span<const Architecture> architectures();
[[nodiscard]] GGUF_FUSE_EXPORT const Architecture* find_architecture(std::string_view name);

}  // namespace gguf_fuse::runtime::detail
