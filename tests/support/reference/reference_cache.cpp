// SPDX-License-Identifier: MIT
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "support/reference/reference.hpp"
#include "support/reference/reference_decode.hpp"

namespace gguf_fuse::kernels {
namespace {

constexpr std::size_t kBlock = 32;
/// Positions of a tile.
constexpr std::size_t kCacheTile = 16;

/// The nearest half-precision number, ties to even: 11 significant bits, steps of 2^-24 at least.
double to_half(double value) {
  if (value == 0 || !std::isfinite(value)) return value;
  const double step = std::ldexp(1.0, std::max(std::ilogb(value) - 10, -24));
  const double rounded = std::nearbyint(value / step) * step;
  return std::abs(rounded) > 65504 ? std::copysign(std::numeric_limits<double>::infinity(), value) : rounded;
}

template <typename T>
T load(std::span<const std::byte> bytes, std::size_t index) {
  T value;
  std::memcpy(&value, bytes.data() + index * sizeof(T), sizeof(T));
  return value;
}

float load_half(std::span<const std::byte> bytes, std::size_t index) {
  return static_cast<float>(half(reinterpret_cast<Block>(bytes.data()) + 2 * index));
}

float to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rounded = std::isnan(value) ? bits | 0x400000U : bits + 0x7fffU + (bits >> 16 & 1U);
  return std::bit_cast<float>(rounded & 0xffff0000U);
}

/// As in cl/cache_blocks.cl.
struct BlockScale {
  float inverse;
  float scale;
  float minimum;
};

float steps_of(CacheType type) {
  switch (type) {
    case CacheType::Q8_0:
      return 127;
    case CacheType::Q4_1:
      return 15;
    case CacheType::Q5_1:
      return 31;
    case CacheType::Q5_0:
      return -16;
    case CacheType::IQ4_NL:
      return -127;
    default:
      return -8;
  }
}

BlockScale scale_of(std::span<const float> block, CacheType type) {
  const auto [least, largest] = std::minmax_element(block.begin(), block.end());
  float range = *largest > -*least ? *largest : *least;
  if (type == CacheType::Q8_0) range = std::abs(range);
  if (cache_type_row(type).minimums) range = *largest - *least;
  const float steps = steps_of(type);
  return {.inverse = std::abs(range) > 1e-36F ? steps / range : 0, .scale = range / steps, .minimum = *least};
}

int level_of(float x, const BlockScale& block, CacheType type) {
  if (type == CacheType::Q8_0) {
    return static_cast<int>(std::nearbyint(static_cast<double>(x) * static_cast<double>(block.inverse)));
  }
  if (type == CacheType::IQ4_NL) {
    const float value = x * block.inverse;
    int level = 0;
    while (level < 15 && value * 2 >= static_cast<float>(kIq4Values[level] + kIq4Values[level + 1])) ++level;
    return level;
  }
  const CacheTypeRow& row = cache_type_row(type);
  const float from = row.minimums ? x - block.minimum : x;
  const float zero = row.minimums ? 0.5F : 0.5F - steps_of(type);
  return std::clamp(static_cast<int>(std::fma(from, block.inverse, zero)), 0, (1 << row.bits) - 1);
}

float value_of(int level, const BlockScale& block, CacheType type) {
  if (type == CacheType::Q8_0) return static_cast<float>(level) * block.scale;
  if (type == CacheType::IQ4_NL) return static_cast<float>(kIq4Values[level]) * block.scale;
  if (cache_type_row(type).minimums) return static_cast<float>(level) * block.scale + block.minimum;
  return (static_cast<float>(level) + steps_of(type)) * block.scale;
}

float fitted_scale(std::span<const float> block, const BlockScale& found) {
  double products = 0, squares = 0;
  for (const float x : block) {
    const double value = kIq4Values[level_of(x, found, CacheType::IQ4_NL)],
                 weight = static_cast<double>(x) * static_cast<double>(x);
    products += weight * value * static_cast<double>(x);
    squares += weight * value * value;
  }
  return squares > 0 ? static_cast<float>(products / squares) : found.scale;
}

/// Where a level lies.
struct LevelPlace {
  CacheType type;
  CachePart part;
  std::size_t size;
  std::size_t element;
  std::size_t slot;
};

float read_level(std::span<const std::byte> tile, const LevelPlace& place, std::size_t index) {
  const CacheTypeRow& row = cache_type_row(place.type);
  const std::size_t blocks = (place.size + kBlock - 1) / kBlock, block = place.element / kBlock;
  const std::size_t in_block = place.element % kBlock, at = block * kCacheTile + place.slot;
  const std::size_t padded = place.part == CachePart::K ? place.size : (place.size + 15) / 16 * 16;
  const std::size_t high = row.bits < 8 ? blocks * 256 : padded * kCacheTile;
  const std::size_t scales = high + (row.bits == 5 ? blocks * 64 : 0);
  BlockScale found{.inverse = 0, .scale = load_half(tile.subspan(scales), at), .minimum = 0};
  if (row.minimums) found.minimum = load_half(tile.subspan(scales + blocks * 32), at);
  if (row.bits == 8) return value_of(load<std::int8_t>(tile, index), found, place.type);
  const std::size_t pair = in_block % 16;
  const std::size_t byte = place.part == CachePart::K ? (block * 16 + pair) * kCacheTile + place.slot : at * 16 + pair;
  int level = load<std::uint8_t>(tile, byte) >> (in_block < 16 ? 0 : 4) & 15;
  if (row.bits == 5) level |= static_cast<int>(load<std::uint32_t>(tile.subspan(high), at) >> in_block & 1U) << 4;
  return value_of(level, found, place.type);
}

}  // namespace

std::vector<float> cache_reference(CacheType type, std::span<const float> head) {
  std::vector<float> out(head.begin(), head.end());
  if (type == CacheType::F16) {
    for (float& value : out) value = static_cast<float>(to_half(static_cast<double>(value)));
  }
  if (type == CacheType::BF16) {
    for (float& value : out) value = to_bf16(value);
  }
  for (std::size_t first = 0; cache_type_row(type).blocks && first < out.size(); first += kBlock) {
    const std::span<float> block = std::span(out).subspan(first, std::min(kBlock, out.size() - first));
    const BlockScale found = scale_of(block, type);
    BlockScale stored = found;
    if (type == CacheType::IQ4_NL) stored.scale = fitted_scale(block, found);
    stored.scale = static_cast<float>(to_half(static_cast<double>(stored.scale)));
    stored.minimum = static_cast<float>(to_half(static_cast<double>(stored.minimum)));
    for (float& value : block) value = value_of(level_of(value, found, type), stored, type);
  }
  return out;
}

std::vector<float> read_cached_head(const CacheShape& shape, CachePart part, std::span<const std::byte> bytes,
                                    std::uint32_t kv_head, std::uint32_t position) {
  const std::size_t size = shape.heads.size, slot = position % kCacheTile;
  const CacheType type = part == CachePart::K ? shape.k : shape.v;
  const std::size_t page_tiles = kPageTokens / kCacheTile, page = position / kPageTokens;
  const std::size_t tiles = std::size_t{shape.heads.kv_heads} * page_tiles * shape.pages;
  const std::size_t tile_bytes = (part == CachePart::K ? shape.k_bytes() : shape.v_bytes()) / tiles;
  const std::size_t tile_index =
      (page * shape.heads.kv_heads + kv_head) * page_tiles + position % kPageTokens / kCacheTile;
  const std::span<const std::byte> tile = bytes.subspan(tile_index * tile_bytes, tile_bytes);
  std::vector<float> out(size);
  for (std::size_t e = 0; e < size; ++e) {
    const std::size_t index = part == CachePart::K ? e * 16 + slot : e / 16 * 256 + slot * 16 + e % 16;
    out[e] = type == CacheType::F32    ? load<float>(tile, index)
             : type == CacheType::F16  ? load_half(tile, index)
             : type == CacheType::BF16 ? std::bit_cast<float>(std::uint32_t{load<std::uint16_t>(tile, index)} << 16)
                                       : read_level(tile, {type, part, size, e, slot}, index);
  }
  return out;
}

}  // namespace gguf_fuse::kernels
