// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "record.hpp"

namespace gguf_fuse::fuse::detail {

/// Where a file stands among the shards of the output; count 0 is a file of its own.
struct ShardPlace {
  std::size_t number = 0;
  std::size_t count = 0;
  std::size_t tensor_count = 0;  ///< of all shards
};

/// split.no, split.count and split.tensors.count as they must be at `place`, where they differ from `keys`. A file of
/// its own gets no such keys, but those it has are corrected; llama-gguf-split leaves a merged file with split.count 0
/// too.
[[nodiscard]] std::vector<ChangedKey> split_changes(const std::vector<KeyItem>& keys, const ShardPlace& place,
                                                    bool shards_change, bool big_endian);

/// general.tensor_extra.name and .prec_a4 with the names of fused parts replaced.
[[nodiscard]] std::vector<ChangedKey> tensor_extra_changes(const LogicalModel& original,
                                                           std::span<const LogicalTensor> tensors);

}  // namespace gguf_fuse::fuse::detail
