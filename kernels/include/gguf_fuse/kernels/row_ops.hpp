// SPDX-License-Identifier: MIT
#pragma once

#include "gguf_fuse/kernels/prepare.hpp"

namespace gguf_fuse::kernels {

/// Some columns of rows of floats: `segments` times `columns` neighbours, the first one at `offset`, then every
/// `stride`, which do not overlap; rows are `row` floats long.
struct Columns {
  std::uint32_t row = 0;
  std::uint32_t offset = 0;
  std::uint32_t segments = 1;
  std::uint32_t stride = 0;
  std::uint32_t columns = 0;
};

/// to[token] = from[token], segment by segment; both have as many and as long segments.
/// Errors: InvalidArgument (shapes that contradict each other, buffers too small), KernelBuildFailed, OpenClFailed.
[[nodiscard]] GGUF_FUSE_EXPORT Result<Operation> copy_columns(Device& device, const Columns& from_shape,
                                                              const Buffer& from, const Columns& to_shape,
                                                              const Buffer& to, const Buffer& step);

/// Weight and bias are float[columns], or float[segments][columns] when each segment has its own (heads of Command R+,
/// StableLM 2); where one is not there, it is all 1, all 0.
struct ColumnsNorm {
  Norm kind = Norm::Rms;
  float epsilon = 1e-5F;
  bool each_segment = false;
  Buffer weight{};
  Buffer bias{};
};

/// Norm of each segment of each row, in place, as prepare's (prepare.hpp). Errors: as copy_columns.
[[nodiscard]] GGUF_FUSE_EXPORT Result<Operation> norm_columns(Device& device, const Columns& shape,
                                                              const ColumnsNorm& norm, const Buffer& x,
                                                              const Buffer& step);

/// out[token] = rms_norm(a[token]) * a_weight + rms_norm(b[token]) * b_weight; all of `columns` floats; out may be a or
/// b. Errors: as copy_columns.
struct TwoBranches {
  Buffer a{}, a_weight{}, b{}, b_weight{};
};
[[nodiscard]] GGUF_FUSE_EXPORT Result<Operation> sum_of_norms(Device& device, std::uint32_t columns, float epsilon,
                                                              const TwoBranches& branches, const Buffer& out,
                                                              const Buffer& step);

/// x[token][column] *= sigmoid(gate[token]). Errors: as copy_columns.
[[nodiscard]] GGUF_FUSE_EXPORT Result<Operation> gate_rows(Device& device, std::uint32_t columns, const Buffer& gate,
                                                           const Buffer& x, const Buffer& step);

/// x[token][column] becomes most where it is larger, -most where it is below that: what DBRX does to queries, keys and
/// values. Errors: InvalidArgument (also for a `most` that is not above 0), KernelBuildFailed, OpenClFailed.
[[nodiscard]] GGUF_FUSE_EXPORT Result<Operation> clamp_rows(Device& device, std::uint32_t columns, float most,
                                                            const Buffer& x, const Buffer& step);

/// What xIELU learns (arXiv 2411.13010), as Apertus' metadata has it: softplus makes the alphas positive.
struct Xielu {
  float alpha_n = 0;
  float alpha_p = 0;
  float beta = 0.5F;
  float epsilon = -1e-6F;
};

/// x[token][column] becomes softplus(alpha_p) * x^2 + beta * x where it is above 0, else
/// (beta + softplus(alpha_n)) * (exp(min(x, epsilon)) - 1 - x) + beta * x. Errors: as copy_columns.
[[nodiscard]] GGUF_FUSE_EXPORT Result<Operation> xielu_rows(Device& device, std::uint32_t columns,
                                                            const Xielu& activation, const Buffer& x,
                                                            const Buffer& step);

}  // namespace gguf_fuse::kernels
