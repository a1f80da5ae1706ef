// SPDX-License-Identifier: MIT
#include "attention_program.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "gguf_fuse/kernels/packing.hpp"
#include "prepare_program.hpp"
#include "style.hpp"

namespace gguf_fuse {
namespace {

/// Bytes of a tile: `size` elements of 16 positions, and for Q8_0 a half-precision scale every 32 elements. The layout
/// is in cl/cache.cl.
std::uint64_t tile_bytes(CacheType type, std::uint32_t size, std::uint32_t blocks) {
  const std::uint64_t elements = std::uint64_t{size} * kCacheTile;
  switch (type) {
    case CacheType::F32:
      return elements * 4;
    case CacheType::F16:
      return elements * 2;
    case CacheType::Q8_0:
      break;
  }
  return elements + std::uint64_t{blocks} * kCacheTile * 2;
}

}  // namespace

std::uint32_t group_rows(const HeadShape& heads) {
  // In the group style the rows of queries lie in local memory, of which there may be 32 KiB only.
  const std::uint32_t most = heads.size > 256 ? 4 : 16;
  return std::min(heads.heads / heads.kv_heads, most);
}

std::uint32_t cache_tiles(const CacheShape& shape) { return ceil_divide(shape.capacity, kCacheTile); }

std::uint64_t CacheShape::k_bytes() const {
  return std::uint64_t{heads.kv_heads} * cache_tiles(*this) *
         tile_bytes(k, heads.size, ceil_divide(heads.size, kGroupElements));
}

std::uint64_t CacheShape::v_bytes() const {
  const std::uint32_t padded = ceil_divide(heads.size, 16) * 16;
  return std::uint64_t{heads.kv_heads} * cache_tiles(*this) *
         tile_bytes(v, padded, ceil_divide(heads.size, kGroupElements));
}

Result<std::shared_ptr<Program>> attention_program(Device& device, const CacheShape& shape) {
  Defines defines;
  defines.emplace_back("HEAD_SIZE", fmt::format("{}", shape.heads.size));
  defines.emplace_back("GROUP_ROWS", fmt::format("{}", group_rows(shape.heads)));
  defines.emplace_back("CACHE_K", fmt::format("{}", static_cast<unsigned>(shape.k)));
  defines.emplace_back("CACHE_V", fmt::format("{}", static_cast<unsigned>(shape.v)));
  return device.program(in_style({.file = "attention.cl", .defines = std::move(defines)}, device.profile()));
}

Result<void> check_cache(const Cache& cache) {
  const HeadShape& heads = cache.shape.heads;
  if (heads.size == 0 || heads.kv_heads == 0 || heads.heads == 0 || heads.heads % heads.kv_heads != 0 ||
      cache.shape.capacity == 0) {
    return fail(Error{.code = ErrorCode::InvalidArgument,
                      .subject = "cache",
                      .expected = "a capacity, heads and kv heads that divide them",
                      .actual = fmt::format("{} positions, {} heads of {}, {} kv heads", cache.shape.capacity,
                                            heads.heads, heads.size, heads.kv_heads)});
  }
  return check_buffers("cache", {{"k", cache.k, cache.shape.k_bytes()}, {"v", cache.v, cache.shape.v_bytes()}});
}

}  // namespace gguf_fuse
