// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "gguf_fuse/kernels/attention.hpp"
#include "gguf_fuse/kernels/experts.hpp"
#include "gguf_fuse/runtime/namespace.hpp"

namespace gguf_fuse::runtime {

/// What sets an architecture apart from the others: data, one file of runtime/architectures/ each. Everything else is
/// read from the model: sizes from its keys; biases, rope factors and a separate output matrix from which tensors
/// exist. What an architecture leaves open is in all layers of a kind or in none.
struct Architecture {
  std::string_view name;  ///< general.architecture
  Rope rope = Rope::Norm;
  Activation activation = Activation::Silu;
  bool head_norm = false;           ///< RMS norm of every Q and K head (attn_q_norm, attn_k_norm)
  bool head_norm_if_there = false;  ///< the same, in those models that have the weights
  bool value_norm = false;          ///< RMS norm of every V head, without weights
  bool value_from_key = false;      ///< layers that see everything use the projection of K where they have no attn_v
  bool sinks = false;               ///< a learned score of nothing in each softmax of attention (attn_sinks)
  bool latent_attention = false;    ///< keys and values made of one compressed vector (MLA)
  bool post_norms = false;          ///< RMS norm behind attention and feed-forward (post_attention_norm, post_ffw_norm)
  std::string_view feed_forward_norm = "ffn_norm";
  bool scaled_embedding = false;  ///< embeddings times sqrt(n_embd)
  bool granite_scales = false;    ///< factors of embeddings, residual branches and logits in keys
  /// Layers with i % pattern < pattern - 1 attend over a window only, unless the file says which; 0: none does.
  std::uint32_t window_pattern = 0;
  bool local_rope_unscaled = false;   ///< position scaling and rope factors do not touch layers with a window
  bool interleaved_sections = false;  ///< M-RoPE, its sections taking turns; tokens of text have one position
  /// Models of this many layers scale queries by sqrt(n_embd / heads) instead of sqrt(head size); 0: none does.
  std::uint32_t wide_query_layers = 0;
  float query_factor = 0;             ///< of queries, where it is no function of sizes
  Gating gating = Gating::Softmax;    ///< of experts, unless expert_gating_func says it
  bool normalised_experts = true;     ///< weights of the chosen experts sum up to 1, unless expert_weights_norm says it
  bool dense_beside_experts = false;  ///< a dense feed-forward and the experts, each between norms of its own
  bool own_output = false;            ///< output.weight has to be there; elsewhere the embeddings serve in its absence
  bool biases = false;                ///< attn_output, the router and the experts have biases
  bool shared_gate = false;           ///< the shared expert is behind a gate (ffn_gate_inp_shexp)
  bool selection_bias = false;        ///< experts are chosen with a bias (exp_probs_b)
  bool selection_bias_if_there = false;  ///< the same, in those models that have it
  bool global_rope_factors = false;      ///< layers that see everything turn by rope_freqs
};

/// All architectures that can be run, by name.
[[nodiscard]] GGUF_FUSE_EXPORT std::span<const Architecture> runnable_architectures();
[[nodiscard]] GGUF_FUSE_EXPORT const Architecture* find_runnable(std::string_view name);

}  // namespace gguf_fuse::runtime
