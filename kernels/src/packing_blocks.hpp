// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "packing_table.hpp"

namespace gguf_fuse::kernels::detail {

// What the block functions of packing tables are made of (docs/kernels.md shows the orders they make). All words are
// little-endian.

inline constexpr std::size_t kBlockGroups = 8;  ///< of 32 elements in a block of 256
inline constexpr std::uint32_t kLowNibbles = 0x0f0f0f0f;
inline constexpr std::uint32_t kLowPairs = 0x03030303;
inline constexpr std::uint32_t kLowBits = 0x01010101;

/// A group's 32 codes, one a byte: element 4i + k in byte k of word i.
using Codes = std::array<std::uint32_t, 8>;

/// Word i of the file's block: four bytes, one of each of four neighbouring elements.
inline std::uint32_t word(const std::byte* bytes, std::size_t i) {
  std::uint32_t value = 0;
  std::memcpy(&value, bytes + 4 * i, 4);
  return value;
}

inline void put_word(std::byte* bytes, std::size_t i, std::uint32_t value) { std::memcpy(bytes + 4 * i, &value, 4); }

/// Low four bits: words 0..3 in the low nibbles of the four packed words, 4..7 in the high ones.
inline void put_nibbles(const Codes& codes, std::byte* packed) {
  for (std::size_t i = 0; i < 4; ++i)
    put_word(packed, i, (codes[i] & kLowNibbles) | ((codes[i + 4] & kLowNibbles) << 4));
}

/// Two bits from `bit` on: word i in bits 2 * (i % 4) of the bytes of packed word i / 4.
inline void put_pairs(const Codes& codes, unsigned bit, std::byte* packed) {
  for (std::size_t half = 0; half < 2; ++half) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) value |= ((codes[4 * half + i] >> bit) & kLowPairs) << (2 * i);
    put_word(packed, half, value);
  }
}

/// One bit: word i in bit i of the bytes of the packed word.
inline void put_bits(const Codes& codes, unsigned bit, std::byte* packed) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 8; ++i) value |= ((codes[i] >> bit) & kLowBits) << i;
  put_word(packed, 0, value);
}

/// Two 6-bit numbers a group in 12 bytes: byte g holds the low nibbles of a[g] and b[g]; byte 8 + g / 2, in the nibble
/// g % 2, the two high bits of a[g] and above them those of b[g].
inline void put_six_bits(const std::array<std::uint8_t, kBlockGroups>& a,
                         const std::array<std::uint8_t, kBlockGroups>& b, std::byte* packed) {
  for (std::size_t g = 0; g < kBlockGroups; ++g) packed[g] = static_cast<std::byte>((a[g] & 15U) | ((b[g] & 15U) << 4));
  for (std::size_t g = 0; g < kBlockGroups; g += 2) {
    const unsigned even = unsigned{a[g]} >> 4 | unsigned{b[g]} >> 4 << 2;
    const unsigned odd = unsigned{a[g + 1]} >> 4 | unsigned{b[g + 1]} >> 4 << 2;
    packed[8 + g / 2] = static_cast<std::byte>(even | (odd << 4));
  }
}

/// The 32 high bits of Q5_0 and Q5_1, bit e of element e. The product puts four neighbouring bits into a byte each.
inline void put_high_bits(const std::byte* file, std::byte* packed) {
  const std::uint32_t bits = word(file, 0);
  std::uint32_t value = 0;
  for (unsigned i = 0; i < 8; ++i) value |= ((((bits >> (4 * i)) & 15U) * 0x00204081U) & kLowBits) << i;
  put_word(packed, 0, value);
}

/// Group g of a plane whose 32 bytes hold bit g of every group's elements (Q3_K, Q5_K).
inline Codes bit_plane(const std::byte* plane, std::size_t group) {
  Codes codes{};
  for (std::size_t i = 0; i < 8; ++i) codes[i] = (word(plane, i) >> group) & kLowBits;
  return codes;
}

/// Two bits of group g: 32 bytes hold four groups, one above the other (Q2_K, Q3_K, high bits of Q6_K).
inline Codes pair_plane(const std::byte* plane, std::size_t group) {
  Codes codes{};
  for (std::size_t i = 0; i < 8; ++i) codes[i] = (word(plane, 8 * (group / 4) + i) >> (2 * (group % 4))) & kLowPairs;
  return codes;
}

/// Four bits of group g: 32 bytes hold two groups, one above the other (Q4_K, Q5_K).
inline Codes nibble_plane(const std::byte* plane, std::size_t group) {
  Codes codes{};
  for (std::size_t i = 0; i < 8; ++i) codes[i] = (word(plane, 8 * (group / 2) + i) >> (4 * (group % 2))) & kLowNibbles;
  return codes;
}

/// Where a region begins in the file's block, and where among those that are packed. Asked for by constants only: then
/// a name that is none does not compile. (Not consteval: clang 14 refuses that in templates.)
constexpr std::size_t in_file(const Regions& regions, std::string_view name) {
  for (const Region& region : regions) {
    if (region.name == name) return region.source;
  }
  throw "there is no such region";
}

constexpr std::size_t in_packed(const Regions& regions, std::string_view name) {
  std::size_t first = 0;
  for (const Region& region : regions) {
    if (region.name == name) return first;
    first += region.bytes;
  }
  throw "there is no such region";
}

/// Codes of two, four or five bits move, and nothing else.
template <const Regions& Of>
void rearrange_pairs(const std::byte* file, std::byte* packed) {
  constexpr std::size_t kFrom = in_file(Of, "pairs"), kTo = in_packed(Of, "pairs");
  for (std::size_t g = 0; g < kBlockGroups; ++g) put_pairs(pair_plane(file + kFrom, g), 0, packed + kTo + 8 * g);
}

template <const Regions& Of>
void rearrange_nibbles(const std::byte* file, std::byte* packed) {
  constexpr std::size_t kFrom = in_file(Of, "nibbles"), kTo = in_packed(Of, "nibbles");
  for (std::size_t g = 0; g < kBlockGroups; ++g) put_nibbles(nibble_plane(file + kFrom, g), packed + kTo + 16 * g);
}

template <const Regions& Of>
void rearrange_bits(const std::byte* file, std::byte* packed) {
  constexpr std::size_t kFrom = in_file(Of, "bits"), kTo = in_packed(Of, "bits");
  for (std::size_t g = 0; g < kBlockGroups; ++g) put_bits(bit_plane(file + kFrom, g), 0, packed + kTo + 4 * g);
}

template <const Regions& Of>
void rearrange_pairs_and_bits(const std::byte* file, std::byte* packed) {
  rearrange_pairs<Of>(file, packed);
  rearrange_bits<Of>(file, packed);
}

template <const Regions& Of>
void rearrange_nibbles_and_bits(const std::byte* file, std::byte* packed) {
  rearrange_nibbles<Of>(file, packed);
  rearrange_bits<Of>(file, packed);
}

}  // namespace gguf_fuse::kernels::detail
