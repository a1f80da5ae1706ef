// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "gguf_fuse/kernels/attention.hpp"
#include "gguf_fuse/kernels/matmul.hpp"

namespace gguf_fuse {

/// What sets an architecture apart from the others: data, one file of runtime/architectures/ each. Everything else is
/// read from the model: sizes from its keys, biases, rope factors and a separate output matrix from which tensors
/// exist.
struct Architecture {
  std::string_view name;  ///< general.architecture
  Rope rope = Rope::Norm;
  GateActivation activation = GateActivation::Silu;
  bool head_norm = false;         ///< RMS norm of every Q and K head (attn_q_norm, attn_k_norm)
  bool post_norms = false;        ///< RMS norm behind attention and feed-forward (post_attention_norm, post_ffw_norm)
  bool scaled_embedding = false;  ///< embeddings times sqrt(n_embd)
  /// Layers with i % pattern < pattern - 1 attend over a window only, unless the file says which; 0: none does.
  std::uint32_t window_pattern = 0;
  std::uint32_t default_window = 0;  ///< when the file has no sliding_window
  float local_rope_base = 0;         ///< of layers with a window, unless the file says it; 0: the model's own
  bool local_rope_unscaled = false;  ///< position scaling does not touch layers with a window
  /// Models of this many layers scale queries by sqrt(n_embd / heads) instead of sqrt(head size); 0: none does.
  std::uint32_t wide_query_layers = 0;
};

/// All architectures that can be run, by name.
[[nodiscard]] GGUF_FUSE_EXPORT std::span<const Architecture> runnable_architectures();
[[nodiscard]] GGUF_FUSE_EXPORT const Architecture* find_runnable(std::string_view name);

}  // namespace gguf_fuse
