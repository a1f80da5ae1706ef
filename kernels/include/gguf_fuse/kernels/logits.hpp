// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "gguf_fuse/kernels/operation.hpp"

namespace gguf_fuse::kernels {

/// logits[i] = cap * tanh(logits[i] / cap), in place, float[tokens][vocabulary]. Errors of all operations here:
/// InvalidArgument (buffers that are missing or too small), KernelBuildFailed, OpenClFailed.
[[nodiscard]] GGUF_FUSE_EXPORT Result<Operation> softcap(Device& device, float cap, std::uint32_t vocabulary,
                                                         const Buffer& logits, const Buffer& step);

/// What one row of logits says, computed on the device so that only these numbers come back.
struct RowStatistics {
  std::int32_t argmax = 0;  ///< the lowest index of the largest value
  float maximum = 0;
  float logsumexp = 0;
  std::uint32_t not_finite = 0;  ///< how many are NaN or infinite; the other fields mean nothing then
};

/// Statistics of each row of float[tokens][vocabulary]; `out` takes RowStatistics[tokens], and its size says how many
/// tokens there may be.
[[nodiscard]] GGUF_FUSE_EXPORT Result<Operation> row_statistics(Device& device, std::uint32_t vocabulary,
                                                                const Buffer& logits, const Buffer& out,
                                                                const Buffer& step);

struct Candidate {
  std::int32_t token = 0;
  float logit = 0;
};

/// The largest k (up to 256) of each row of float[tokens][vocabulary], in descending order, ties by the lower token,
/// NaN last; `out` takes Candidate[tokens][k], and its size says how many tokens there may be.
[[nodiscard]] GGUF_FUSE_EXPORT Result<Operation> top_k(Device& device, std::uint32_t vocabulary, std::uint32_t k,
                                                       const Buffer& logits, const Buffer& out);

}  // namespace gguf_fuse::kernels
