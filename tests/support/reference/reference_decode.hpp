// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "gguf_fuse/kernels/namespace.hpp"

namespace gguf_fuse::kernels::detail {

using Block = const std::uint8_t*;

/// How the scalar reference reads a type: element e of a block, straight from the file. What stands at the start of a
/// row, it multiplies with by itself.
struct DecodeRow {
  std::string_view type;
  double (*element)(Block block, std::size_t e);
  /// What 8-bit activations are multiplied with, where that is not the same.
  double (*rounded)(Block block, std::size_t e) = nullptr;
};

/// The families of types, a file each.
[[nodiscard]] std::span<const DecodeRow> mainline_decode_rows();
[[nodiscard]] std::span<const DecodeRow> ik_decode_rows();

/// What the codes of all IQ4 types stand for.
inline constexpr int kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

inline std::uint32_t bits16(Block at) { return at[0] | static_cast<std::uint32_t>(at[1]) << 8; }
inline std::uint32_t bits32(Block at) { return bits16(at) | bits16(at + 2) << 16; }

inline double single(Block at) { return std::bit_cast<float>(bits32(at)); }

inline double half(Block at) {
  const std::uint32_t bits = bits16(at);
  const int exponent = static_cast<int>(bits >> 10 & 31);
  const double fraction = bits & 1023;
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == 31) return fraction == 0 ? sign * HUGE_VAL : std::nan("");
  return sign * (exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25));
}

inline int bit(Block at, std::size_t e) { return at[e / 8] >> (e % 8) & 1; }
/// 16 bytes: the first half of 32 elements in the low nibbles, the second in the high ones.
inline int nibble(Block at, std::size_t e) { return at[e % 16] >> (4 * (e / 16)) & 15; }
/// Bytes of 64 elements each, two in a byte, 32 apart.
inline int k_nibble(Block at, std::size_t e) { return at[32 * (e / 64) + e % 32] >> (4 * (e / 32 % 2)) & 15; }
/// Bytes of 128 elements each, four in a byte, 32 apart.
inline int k_pair(Block at, std::size_t e) { return at[32 * (e / 128) + e % 32] >> (2 * (e / 32 % 4)) & 3; }
/// 32 bytes, eight elements in each, 32 apart.
inline int k_bit(Block at, std::size_t e) { return at[e % 32] >> (e / 32) & 1; }

}  // namespace gguf_fuse::kernels::detail
