// SPDX-License-Identifier: MIT
#include "attention_program.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "prelude.hpp"
#include "prepare_program.hpp"
#include "style.hpp"

namespace gguf_fuse::kernels {
namespace {

constexpr std::uint32_t kPageTiles = kPageTokens / kCacheTile;

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

/// Where the planes of a tile begin behind its levels, and where it ends, in bytes. The layout is in cl/cache.cl.
struct CachePlanes {
  std::uint64_t high;
  std::uint64_t scales;
  std::uint64_t minimums;
  std::uint64_t end;
};

/// Of a tile of heads of `size` elements, with padding.
CachePlanes planes_of(CacheType type, std::uint32_t size) {
  const CacheTypeRow& row = cache_type_row(type);
  const std::uint64_t blocks = ceil_divide(size, kCacheBlock), halves = kCacheTile * blocks * 2;
  // Levels below 8 bits take whole blocks, and a fifth bit lies apart.
  const std::uint64_t elements = row.bits < 8 ? blocks * kCacheBlock : size;
  CachePlanes planes{};
  planes.high = kCacheTile * elements * (row.bits == 5 ? 4 : row.bits) / 8;
  planes.scales = planes.high + (row.bits == 5 ? kCacheTile * elements / 8 : 0);
  planes.minimums = planes.scales + (row.blocks ? halves : 0);
  planes.end = planes.minimums + (row.minimums ? halves : 0);
  return planes;
}

CachePlanes k_planes(const CacheShape& shape) { return planes_of(shape.k, shape.heads.size); }
/// Elements of V come in chunks of sixteen.
CachePlanes v_planes(const CacheShape& shape) { return planes_of(shape.v, ceil_divide(shape.heads.size, 16) * 16); }

void define_planes(const char* cache, const CachePlanes& planes, Defines& defines) {
  defines.emplace_back(fmt::format("{}_HIGH", cache), std::to_string(planes.high));
  defines.emplace_back(fmt::format("{}_SCALES", cache), std::to_string(planes.scales));
  defines.emplace_back(fmt::format("{}_MINIMUMS", cache), std::to_string(planes.minimums));
  defines.emplace_back(fmt::format("{}_TILE_BYTES", cache), std::to_string(planes.end));
}

/// Rows of queries of a task. In the group style they lie in local memory, of which there may be 32 KiB only.
std::uint32_t most_rows(const HeadShape& heads) { return heads.size > 256 ? 4 : 16; }

}  // namespace

std::span<const CacheTypeRow> cache_types() { return kCacheTypes; }

const CacheTypeRow& cache_type_row(CacheType type) {
  const auto index = static_cast<std::size_t>(type);
  return kCacheTypes[index < std::size(kCacheTypes) ? index : 0];
}

std::uint32_t detail::group_rows(const HeadShape& heads) {
  return std::min(heads.heads / heads.kv_heads, most_rows(heads));
}

std::uint32_t detail::batch_rows(const DeviceProfile& profile, const HeadShape& heads) {
  return profile.style == Style::Group ? most_rows(heads) : 16;
}

std::uint64_t CacheShape::k_bytes() const {
  return std::uint64_t{pages} * heads.kv_heads * kPageTiles * k_planes(*this).end;
}

std::uint64_t CacheShape::v_bytes() const {
  return std::uint64_t{pages} * heads.kv_heads * kPageTiles * v_planes(*this).end;
}

Result<std::shared_ptr<Program>> detail::attention_program(Device& device, const CacheShape& shape) {
  const DeviceProfile& profile = device.profile();
  Defines defines;
  defines.emplace_back("HEAD_SIZE", std::to_string(shape.heads.size));
  defines.emplace_back("GROUP_ROWS", std::to_string(group_rows(shape.heads)));
  defines.emplace_back("BATCH_ROWS", std::to_string(batch_rows(profile, shape.heads)));
  defines.emplace_back("CACHE_K", std::to_string(static_cast<unsigned>(shape.k)));
  defines.emplace_back("CACHE_V", std::to_string(static_cast<unsigned>(shape.v)));
  define_planes("K", k_planes(shape), defines);
  define_planes("V", v_planes(shape), defines);
  return device.program(in_style({.file = "attention.cl", .defines = std::move(defines)}, profile));
}

void detail::set_cache(Launch& launch, const Cache& cache, const Buffer& step) {
  launch.set("k", cache.k).set("v", cache.v).set("pages", cache.table).set("pages_row", cache.table_row);
  launch.set("heads", cache.shape.heads.heads).set("kv_heads", cache.shape.heads.kv_heads).set("step_info", step);
}

Result<void> detail::check_cache(const Cache& cache, std::uint32_t sequences) {
  const HeadShape& heads = cache.shape.heads;
  if (heads.size == 0 || heads.kv_heads == 0 || heads.heads == 0 || heads.heads % heads.kv_heads != 0 ||
      cache.shape.pages == 0 || cache.table_row == 0) {
    return fail(Error{.code = ErrorCode::InvalidArgument,
                      .subject = "cache",
                      .expected = "pages, rows of a table of them, heads and kv heads that divide them",
                      .actual = fmt::format("{} pages, {} a sequence, {} heads of {}, {} kv heads", cache.shape.pages,
                                            cache.table_row, heads.heads, heads.size, heads.kv_heads)});
  }
  const std::uint64_t entries = std::uint64_t{sequences} * cache.table_row;
  return check_buffers("cache", {{"k", cache.k, cache.shape.k_bytes()},
                                 {"v", cache.v, cache.shape.v_bytes()},
                                 {"table", cache.table, entries * sizeof(std::uint32_t)}});
}

}  // namespace gguf_fuse::kernels
