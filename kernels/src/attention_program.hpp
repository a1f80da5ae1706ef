// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

#include "gguf_fuse/kernels/attention.hpp"

namespace gguf_fuse::kernels::detail {

/// Q heads of one kv head that a task of attention_single takes at once, and tokens that one of attention_batch takes.
[[nodiscard]] std::uint32_t group_rows(const HeadShape& heads);
[[nodiscard]] std::uint32_t batch_rows(const DeviceProfile& profile, const HeadShape& heads);

/// The program of store_kv and attention of one head size, group and pair of cache types.
[[nodiscard]] Result<std::shared_ptr<Program>> attention_program(Device& device, const CacheShape& shape);

/// InvalidArgument unless the cache has heads, room for its shape and a table of so many sequences.
[[nodiscard]] Result<void> check_cache(const Cache& cache, std::uint32_t sequences);

/// The arguments by which kernels find a sequence's positions.
void set_cache(Launch& launch, const Cache& cache, const Buffer& step);

}  // namespace gguf_fuse::kernels::detail
