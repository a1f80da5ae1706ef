// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

#include "gguf_fuse/loader/error.hpp"
#include "gguf_fuse/loader/model.hpp"
#include "gguf_fuse/loader/sink.hpp"
#include "support/namespace.hpp"

namespace gguf_fuse::test_support {

/// The architecture that the mixture claims to be.
enum class MixtureKind : std::uint8_t {
  Llama,       ///< Mixtral's form
  GraniteSwa,  ///< mainline reads ffn_gate_up_exps of it
  /// With QK norms of weight 1, and another RoPE: loads and runs, but does not speak like the dense model.
  Qwen3Moe,
};

struct UpcycleOptions {
  MixtureKind kind = MixtureKind::GraniteSwa;
  std::uint32_t experts = 8;
  std::uint32_t used = 2;  ///< experts per token
  std::uint64_t seed = 1;
  bool unstacked = false;  ///< a tensor for each expert, as converters of 2023 wrote them; the weights are the same
};

/// Makes a mixture of experts that speaks out of a dense model of the llama architecture. Every expert is the dense FFN
/// with its hidden units permuted, each expert by a permutation of its own, and the router is random: whichever experts
/// a token goes to, their weighted mean is what the dense FFN computes. Units move in whole quantisation blocks of
/// ffn_down, so that no weight is requantised, and all experts' bytes differ. (A model with a single block of units has
/// nothing to permute.)
///
/// Streams: holds one dense tensor and one expert's slice of it at a time. Depends on the input and the options alone.
/// Errors: InvalidArgument for models it cannot do (architecture, biases, interleaved rows), and those of source and
/// sink.
[[nodiscard]] Result<void> upcycle(Model& dense, Sink& out, const UpcycleOptions& options);

/// The same from file to file; `replace` allows the output to exist.
[[nodiscard]] Result<void> upcycle(const std::string& dense, const std::string& out, const UpcycleOptions& options,
                                   bool replace = false);

}  // namespace gguf_fuse::test_support
