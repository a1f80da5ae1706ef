// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "gguf_fuse/kernels/operation.hpp"
#include "gguf_fuse/kernels/row_ops.hpp"

namespace gguf_fuse::kernels {

// Layers of the gated delta rule (Yang, Kautz, Hatamizadeh: Gated Delta Networks, arXiv 2412.06464): what stands
// between a layer's projections. They keep a state for each sequence instead of keys and values for each token. All of
// them read the runs of a StepTable: rows of any mix of sequences, one run each.

/// A short convolution over time of each channel by itself, and SiLU behind it:
///   out[t][c] = silu(sum of weights[c][j] * in[t - width + 1 + j][c] over j < width)
/// where t counts the tokens of a sequence. What lies before a sequence's first token is zero.
struct ConvShape {
  std::uint32_t channels = 0;       ///< a multiple of 16
  std::uint32_t width = 4;          ///< tokens that a sum reaches, its own included: 2 to 16
  std::uint32_t row = 0;            ///< floats of a row of the input,
  std::uint32_t offset = 0;         ///< and where its channels begin
  std::uint32_t max_tokens = 1;     ///< of one enqueue()
  std::uint32_t max_sequences = 1;  ///< the numbers of sequences are below it

  [[nodiscard]] GGUF_FUSE_EXPORT std::uint64_t state_bytes() const;  ///< of all sequences
};

struct ConvBuffers {
  Buffer in{};       ///< float[tokens][row]
  Buffer weights{};  ///< float[channels][width], the last one for the token itself
  Buffer state{};    ///< float[sequences][width - 1][channels]: the inputs before a run, and then those before the next
  Buffer out{};      ///< float[tokens][channels]; none of the other buffers
};

/// The state of a run that begins at position 0 is not read, and may be anything. A NaN reaches the tokens that see it.
/// Errors: InvalidArgument (shapes that contradict each other, buffers that are missing or too small),
/// KernelBuildFailed, OpenClFailed.
[[nodiscard]] GGUF_FUSE_EXPORT Result<Operation> causal_conv(Device& device, const ConvShape& shape,
                                                             const ConvBuffers& buffers, const Buffer& step);

/// Whose key a value head has, where there are several for each key head.
enum class KeyHeads : std::uint8_t {
  Grouped,  ///< value head v that of key head v / (value_heads / key_heads): neighbours share one
  Tiled,    ///< value head v that of key head v % key_heads
};

/// The gated delta rule of every value head, with key k, query q, value v, and state S[key_size][value_size]:
///   k = key / sqrt(sum(key^2) + epsilon), q = query / sqrt(sum(query^2) + epsilon) / sqrt(key_size)
///   g = exp(a * softplus(alpha + dt)), b = sigmoid(beta)
///   S = g * S + k (b * (v - g * S^T k))^T
///   out = S^T q
/// Tokens of a long run are taken sixteen at a time (the paper's chunks, with the UT transform): products of small
/// matrices instead of one pass over the state a token. The results differ by rounding only.
struct DeltaShape {
  std::uint32_t key_heads = 0;
  std::uint32_t value_heads = 0;  ///< a multiple of key_heads
  std::uint32_t key_size = 0;     ///< a multiple of 16, at most 256
  std::uint32_t value_size = 0;   ///< a multiple of 16
  KeyHeads order = KeyHeads::Grouped;
  float epsilon = 1e-6F;
  /// Where in their rows the value heads' numbers are: segments times columns are value_heads.
  Columns beta{}, alpha{};
  std::uint32_t max_tokens = 1;     ///< of one enqueue()
  std::uint32_t max_sequences = 1;  ///< the numbers of sequences are below it

  [[nodiscard]] std::uint32_t channels() const { return 2 * key_heads * key_size + value_heads * value_size; }
  [[nodiscard]] GGUF_FUSE_EXPORT std::uint64_t state_bytes() const;    ///< of all sequences
  [[nodiscard]] GGUF_FUSE_EXPORT std::uint64_t scratch_bytes() const;  ///< 0 for max_tokens 1
  /// Of one run of so many tokens.
  [[nodiscard]] GGUF_FUSE_EXPORT Work work(std::uint32_t tokens) const;
};

struct DeltaBuffers {
  Buffer qkv{};      ///< float[tokens][channels]: [queries | keys | values], each head by head
  Buffer beta{};     ///< float[tokens][shape.beta.row]
  Buffer alpha{};    ///< float[tokens][shape.alpha.row]; may be the same buffer
  Buffer a{};        ///< float[value_heads], not above 0
  Buffer dt{};       ///< float[value_heads]
  Buffer state{};    ///< float[sequences][value_heads][value_size / 16][key_size][16]: columns of S by sixteens
  Buffer scratch{};  ///< with max_tokens > 1; overwritten, so that operations of one queue may share it
  Buffer out{};      ///< float[tokens][value_heads * value_size]; none of the other buffers
};

/// The state of a run that begins at position 0 is not read, and may be anything. Errors: as causal_conv.
[[nodiscard]] GGUF_FUSE_EXPORT Result<Operation> delta_rule(Device& device, const DeltaShape& shape,
                                                            const DeltaBuffers& buffers, const Buffer& step);

/// x = rms_norm(x) * weight * silu(gate), segment by segment, in place: x / sqrt(mean(x^2) + epsilon) is the norm.
/// `weight` is float[columns], for all segments. Both shapes have as many and as long segments; the buffers are not the
/// same. Errors: as copy_columns.
[[nodiscard]] GGUF_FUSE_EXPORT Result<Operation> gated_norm(Device& device, const Columns& shape, float epsilon,
                                                            const Buffer& x, const Buffer& weight,
                                                            const Columns& gate_shape, const Buffer& gate,
                                                            const Buffer& step);

/// x *= sigmoid(gate), segment by segment, in place. Both shapes have as many and as long segments; the buffers are not
/// the same. Errors: as copy_columns.
[[nodiscard]] GGUF_FUSE_EXPORT Result<Operation> gate_columns(Device& device, const Columns& shape, const Buffer& x,
                                                              const Columns& gate_shape, const Buffer& gate,
                                                              const Buffer& step);

}  // namespace gguf_fuse::kernels
