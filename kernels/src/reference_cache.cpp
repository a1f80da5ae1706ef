// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "attention_program.hpp"
#include "gguf_fuse/kernels/reference.hpp"

namespace gguf_fuse {
namespace {

constexpr std::size_t kBlock = 32;

/// The nearest half-precision number, ties to even: 11 significant bits, steps of 2^-24 at least.
double to_half(double value) {
  if (value == 0 || !std::isfinite(value)) return value;
  const double step = std::ldexp(1.0, std::max(std::ilogb(value) - 10, -24));
  const double rounded = std::nearbyint(value / step) * step;
  return std::abs(rounded) > 65504 ? std::copysign(std::numeric_limits<double>::infinity(), value) : rounded;
}

/// IEEE 754 binary16.
float from_half(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const double magnitude = exponent == 0    ? std::ldexp(fraction, -24)
                           : exponent == 31 ? (fraction == 0 ? std::numeric_limits<double>::infinity()
                                                             : std::numeric_limits<double>::quiet_NaN())
                                            : std::ldexp(1024 + fraction, exponent - 25);
  return static_cast<float>((bits & 0x8000) != 0 ? -magnitude : magnitude);
}

template <typename T>
T load(std::span<const std::byte> bytes, std::size_t index) {
  T value;
  std::memcpy(&value, bytes.data() + index * sizeof(T), sizeof(T));
  return value;
}

}  // namespace

std::vector<float> cache_reference(CacheType type, std::span<const float> head) {
  std::vector<float> out(head.begin(), head.end());
  if (type == CacheType::F16) {
    for (float& value : out) value = static_cast<float>(to_half(static_cast<double>(value)));
  }
  for (std::size_t first = 0; type == CacheType::Q8_0 && first < out.size(); first += kBlock) {
    const std::span<float> block = std::span(out).subspan(first, std::min(kBlock, out.size() - first));
    float most = 0;
    for (const float value : block) most = std::max(most, std::abs(value));
    const float inverse = most > 1e-36F ? 127 / most : 0;
    const double scale = to_half(static_cast<double>(most / 127));
    for (float& value : block) {
      value = static_cast<float>(scale * std::nearbyint(static_cast<double>(value) * static_cast<double>(inverse)));
    }
  }
  return out;
}

std::vector<float> read_cached_head(const CacheShape& shape, CachePart part, std::span<const std::byte> bytes,
                                    std::uint32_t kv_head, std::uint32_t position) {
  const std::size_t size = shape.heads.size, slot = position % kCacheTile;
  const CacheType type = part == CachePart::K ? shape.k : shape.v;
  const std::size_t tiles = std::size_t{shape.heads.kv_heads} * cache_tiles(shape);
  const std::size_t tile_bytes = (part == CachePart::K ? shape.k_bytes() : shape.v_bytes()) / tiles;
  const std::size_t tile_index = std::size_t{kv_head} * cache_tiles(shape) + position / kCacheTile;
  const std::span<const std::byte> tile = bytes.subspan(tile_index * tile_bytes, tile_bytes);
  const std::size_t padded = part == CachePart::K ? size : (size + 15) / 16 * 16;
  std::vector<float> out(size);
  for (std::size_t e = 0; e < size; ++e) {
    const std::size_t index = part == CachePart::K ? e * 16 + slot : e / 16 * 256 + slot * 16 + e % 16;
    switch (type) {
      case CacheType::F32:
        out[e] = load<float>(tile, index);
        break;
      case CacheType::F16:
        out[e] = from_half(load<std::uint16_t>(tile, index));
        break;
      case CacheType::Q8_0:
        out[e] = static_cast<float>(load<std::int8_t>(tile, index)) *
                 from_half(load<std::uint16_t>(tile.subspan(padded * 16), e / kBlock * 16 + slot));
        break;
    }
  }
  return out;
}

}  // namespace gguf_fuse
