// SPDX-License-Identifier: MIT
#pragma once

#include "gguf_fuse/kernels/matmul.hpp"

namespace gguf_fuse::kernels {

enum class Norm : std::uint8_t { None, Rms, Layer };

/// Makes activations out of rows of floats x[token][columns]: first, when there is a `branch`, the residual
/// x += branch_factor * branch, or x += branch_factor * rms_norm(branch) * post_weight; then x *= scale[0], when
/// `scaled`; then the norm of x; then quantising (or transposing, for F32).
/// RMS norm: x / sqrt(mean(x^2) + epsilon) * weight + bias; layer norm: (x - mean) / sqrt(variance + epsilon) * weight
/// + bias. Norms without weights have the weight 1, those without a bias 0. Quantising: scale = max |x| / 127 over each
/// group of 32, values rounded to nearest (ties to even). A group of zeros (or below 1e-36) has scale 0; where a value
/// is not finite the scale is neither.
struct PrepareShape {
  PreparedShape result{};
  Norm norm = Norm::None;
  float epsilon = 1e-5F;
  bool branch = false;  ///< a residual branch
  bool scaled = false;  ///< x, with the branch, is multiplied by one number before the norm (Gemma 4)
  /// Of the branch itself: Rms (Gemma, OLMo 2), or None where it is added as it is (parallel blocks).
  Norm branch_norm = Norm::Rms;
  float branch_factor = 1;  ///< the scale of residuals (Granite)

  [[nodiscard]] GGUF_FUSE_EXPORT Work work(std::uint32_t tokens) const;
};

struct PrepareBuffers {
  Buffer x{};            ///< float[tokens][columns]; changed when there is a branch or it is scaled
  Buffer weight{};       ///< float[columns], or none; not read when norm is None
  Buffer bias{};         ///< likewise
  Buffer branch{};       ///< float[tokens][columns]
  Buffer post_weight{};  ///< float[columns], unless branch_norm is None
  Buffer scale{};        ///< float[1], when scaled
  Buffer out{};          ///< result.bytes()
};

/// `step` is the step buffer. Errors: InvalidArgument (buffers that are missing or too small, a layer norm of the
/// branch), KernelBuildFailed, OpenClFailed.
[[nodiscard]] GGUF_FUSE_EXPORT Result<Operation> prepare(Device& device, const PrepareShape& shape,
                                                         const PrepareBuffers& buffers, const Buffer& step);

/// Copies the rows of x whose logits are wanted, those of the step's list of outputs, to rows 0 and on of out. x is
/// float[tokens][columns], out float[outputs][columns]. The step buffer of what follows says as many tokens as there
/// are outputs. Errors: as prepare.
[[nodiscard]] GGUF_FUSE_EXPORT Result<Operation> take_rows(Device& device, std::uint32_t columns, const Buffer& x,
                                                           const Buffer& out, const Buffer& step);

}  // namespace gguf_fuse::kernels
