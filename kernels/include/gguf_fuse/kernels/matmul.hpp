// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "gguf_fuse/kernels/operation.hpp"
#include "gguf_fuse/kernels/packing.hpp"

namespace gguf_fuse::kernels {

/// What the activations are when they meet the weights: 8-bit integers with a scale every 32 elements, or floats.
enum class Activations : std::uint8_t { Q8, F32 };

/// Tokens whose activations lie side by side: 16 in batches, 1 when tokens come one by one.
inline constexpr std::uint32_t kBatchTile = 16;

/// Activations as matrix products read them, made by prepare() (prepare.hpp). In tiles of `tile` tokens:
/// - Q8: for each group of 32 columns a record of 48 * tile bytes: for each token 32 int8 values; then four rows of
///   `tile` floats: the scale, the scale times the sum of all 32 values, of the first 16, of the last 16.
/// - F32: for each column (padded to whole groups) `tile` floats.
/// Tokens beyond the last are zero.
struct GGUF_FUSE_EXPORT PreparedShape {
  Activations kind = Activations::Q8;
  std::uint32_t columns = 0;
  std::uint32_t tile = kBatchTile;  ///< 1 or kBatchTile
  std::uint32_t max_tokens = 1;     ///< capacity

  [[nodiscard]] std::uint64_t tile_bytes() const;
  [[nodiscard]] std::uint64_t bytes() const { return (max_tokens + tile - 1) / tile * tile_bytes(); }
};

/// A packed matrix on a device. Sum over columns: out[token][row] = weights[row] . activations[token].
struct Matrix {
  Buffer buffer{};
  std::uint64_t offset = 0;  ///< bytes, a multiple of 64
  PackedShape shape{};
};

/// What becomes of a sum, or of a gate before it is multiplied with up.
enum class Activation : std::uint8_t {
  Silu,         ///< x * sigmoid(x)
  Gelu,         ///< x * Phi(x) in its tanh form (arXiv 1606.08415, section 2)
  Relu,         ///< max(x, 0)
  ReluSquared,  ///< max(x, 0)^2 (Nemotron, Arcee)
  SiluOai,  ///< gated only, gpt-oss's: g * sigmoid(1.702 g) * (u + 1) with g = min(gate, 7), u = up between -7 and 7
};

/// What happens to the sums.
enum class Epilogue : std::uint8_t {
  Store,      ///< out[token][row] = factor * (sum (+ bias))
  Add,        ///< out[token][row] += factor * (sum (+ bias)): the residual
  Gated,      ///< out[token][row] = activation(sum (+ bias) of matrices[0]) * (sum (+ bias) of matrices[1])
  Activated,  ///< out[token][row] = factor * activation(sum (+ bias)) of the only matrix: a feed-forward without a gate
};

/// One launch over one to three matrices with the same columns. Store and Add put their rows one behind the other (Q, K
/// and V in one launch, even when their types differ); Gated takes gate and up of equal rows, Activated one matrix.
struct MatmulShape {
  Activations kind = Activations::Q8;  ///< matrices of float types always need F32
  std::uint32_t tile = kBatchTile;     ///< as the activations'
  Epilogue epilogue = Epilogue::Store;
  Activation activation = Activation::Silu;
  std::vector<Matrix> matrices{};
  Buffer bias{};  ///< floats, one a row of all matrices; none when empty
  float factor = 1;
  /// More than 1: the only matrix holds one of rows / heads rows a head, a multiple of 16, and the activations have
  /// heads * columns columns, a multiple of 32 each head: rows of a head meet the columns of that head. Not with Gated.
  std::uint32_t heads = 1;

  /// Rows of the output: the sum of all matrices' rows, or those of one of them when gated.
  [[nodiscard]] GGUF_FUSE_EXPORT std::uint32_t rows() const;
  [[nodiscard]] GGUF_FUSE_EXPORT Work work(std::uint32_t tokens) const;
};

/// Records the product. `activations` as PreparedShape{kind, columns, tile} says; `out` takes float[tokens][rows()];
/// `step` is the step buffer. Errors: UnsupportedType, InvalidArgument, KernelBuildFailed, OpenClFailed.
[[nodiscard]] GGUF_FUSE_EXPORT Result<Operation> matmul(Device& device, const MatmulShape& shape,
                                                        const Buffer& activations, const Buffer& out,
                                                        const Buffer& step);

/// Rows of a packed matrix as floats: out[token][column] = factor * table[tokens[token]][column]. `tokens` holds int32
/// ids, each below table.shape.rows. Errors: as matmul.
[[nodiscard]] GGUF_FUSE_EXPORT Result<Operation> embed(Device& device, const Matrix& table, float factor,
                                                       const Buffer& tokens, const Buffer& out, const Buffer& step);

}  // namespace gguf_fuse::kernels
