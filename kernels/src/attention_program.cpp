// SPDX-License-Identifier: MIT
#include "attention_program.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "gguf_fuse/kernels/packing.hpp"
#include "prepare_program.hpp"
#include "style.hpp"

namespace gguf_fuse::kernels {
namespace {

constexpr CacheTypeRow kCacheTypes[] = {
    {CacheType::F32, "f32", 32},
    {CacheType::F16, "f16", 16},
    {CacheType::BF16, "bf16", 16},
    {CacheType::Q8_0, "q8_0", 8, true},
    {CacheType::Q4_0, "q4_0", 4, true},
    {CacheType::Q4_1, "q4_1", 4, true, true},
    {CacheType::Q5_0, "q5_0", 5, true},
    {CacheType::Q5_1, "q5_1", 5, true, true},
    {CacheType::IQ4_NL, "iq4_nl", 4, true},
};

/// Bytes of a tile of `size` elements of 16 positions. The layout is in cl/cache.cl.
std::uint64_t tile_bytes(CacheType type, std::uint32_t size, std::uint32_t blocks) {
  const CacheTypeRow& row = cache_type_row(type);
  // Levels below 8 bits take whole blocks.
  const std::uint64_t elements = row.bits < 8 ? std::uint64_t{blocks} * kGroupElements : size;
  const std::uint64_t halves = row.blocks ? std::uint64_t{blocks} * (row.minimums ? 2 : 1) : 0;
  return kCacheTile * (elements * row.bits / 8 + halves * 2);
}

}  // namespace

std::span<const CacheTypeRow> cache_types() { return kCacheTypes; }

const CacheTypeRow& cache_type_row(CacheType type) {
  const auto index = static_cast<std::size_t>(type);
  return kCacheTypes[index < std::size(kCacheTypes) ? index : 0];
}

std::uint32_t detail::group_rows(const HeadShape& heads) {
  // In the group style the rows of queries lie in local memory, of which there may be 32 KiB only.
  const std::uint32_t most = heads.size > 256 ? 4 : 16;
  return std::min(heads.heads / heads.kv_heads, most);
}

std::uint32_t detail::cache_tiles(const CacheShape& shape) { return ceil_divide(shape.capacity, kCacheTile); }

std::uint64_t CacheShape::k_bytes() const {
  return std::uint64_t{heads.kv_heads} * cache_tiles(*this) *
         tile_bytes(k, heads.size, ceil_divide(heads.size, kGroupElements));
}

std::uint64_t CacheShape::v_bytes() const {
  const std::uint32_t padded = ceil_divide(heads.size, 16) * 16;
  return std::uint64_t{heads.kv_heads} * cache_tiles(*this) *
         tile_bytes(v, padded, ceil_divide(heads.size, kGroupElements));
}

Result<std::shared_ptr<Program>> detail::attention_program(Device& device, const CacheShape& shape) {
  Defines defines;
  defines.emplace_back("HEAD_SIZE", fmt::format("{}", shape.heads.size));
  defines.emplace_back("GROUP_ROWS", fmt::format("{}", group_rows(shape.heads)));
  defines.emplace_back("CACHE_K", fmt::format("{}", static_cast<unsigned>(shape.k)));
  defines.emplace_back("CACHE_V", fmt::format("{}", static_cast<unsigned>(shape.v)));
  return device.program(in_style({.file = "attention.cl", .defines = std::move(defines)}, device.profile()));
}

Result<void> detail::check_cache(const Cache& cache) {
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

}  // namespace gguf_fuse::kernels
