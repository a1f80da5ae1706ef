// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

#include "gguf_fuse/kernels/attention.hpp"

namespace gguf_fuse::kernels::detail {

/// Q heads of one kv head that a task of attention_single takes at once, and tokens that one of attention_batch takes.
[[nodiscard]] std::uint32_t group_rows(const HeadShape& heads);
[[nodiscard]] std::uint32_t batch_rows(const DeviceProfile& profile, const HeadShape& heads);

/// Tiles of each kv head.
[[nodiscard]] std::uint32_t cache_tiles(const CacheShape& shape);

/// The program of store_kv and attention of one head size, group and pair of cache types.
[[nodiscard]] Result<std::shared_ptr<Program>> attention_program(Device& device, const CacheShape& shape);

/// InvalidArgument unless the cache has heads and room for its shape.
[[nodiscard]] Result<void> check_cache(const Cache& cache);

}  // namespace gguf_fuse::kernels::detail
