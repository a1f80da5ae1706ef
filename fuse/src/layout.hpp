// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "logical_model.hpp"

namespace gguf_fuse::fuse::detail {

struct Layout {
  std::vector<PlannedFile> files;
  std::optional<OriginalProof> proof;
};

/// Lays `tensors` (in output order) out into files with headers. With a record where anything differs from the original
/// files; a result without a fused tensor in the original's own shards is the original byte for byte.
/// Errors: SizeOverflow (shards that are too large together for one file).
[[nodiscard]] Result<Layout> lay_out(const LogicalModel& original, std::vector<LogicalTensor> tensors,
                                     const SplitOptions& split);

}  // namespace gguf_fuse::fuse::detail
