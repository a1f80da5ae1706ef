// SPDX-License-Identifier: MIT
#include "packing_blocks.hpp"

#include <array>
#include <cstdint>
#include <cstring>

namespace gguf_fuse {
namespace {

constexpr std::size_t kGroups = 8;  // of 32 elements in a block of 256
constexpr std::uint32_t kLowNibbles = 0x0f0f0f0f;
constexpr std::uint32_t kLowPairs = 0x03030303;
constexpr std::uint32_t kLowBits = 0x01010101;

/// Word i of the file's block: four bytes, one of each of four neighbouring elements.
std::uint32_t word(const std::byte* bytes, std::size_t i) {
  std::uint32_t value = 0;
  std::memcpy(&value, bytes + 4 * i, 4);
  return value;
}

void put_word(std::byte* bytes, std::size_t i, std::uint32_t value) { std::memcpy(bytes + 4 * i, &value, 4); }

/// A group's 32 codes, one a byte: element 4i + k in byte k of word i.
using Codes = std::array<std::uint32_t, 8>;

/// Low four bits: words 0..3 in the low nibbles of the four packed words, 4..7 in the high ones.
void put_nibbles(const Codes& codes, std::byte* packed) {
  for (std::size_t i = 0; i < 4; ++i)
    put_word(packed, i, (codes[i] & kLowNibbles) | ((codes[i + 4] & kLowNibbles) << 4));
}

/// Two bits from `bit` on: word i in bits 2 * (i % 4) of the bytes of packed word i / 4.
void put_pairs(const Codes& codes, unsigned bit, std::byte* packed) {
  for (std::size_t half = 0; half < 2; ++half) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) value |= ((codes[4 * half + i] >> bit) & kLowPairs) << (2 * i);
    put_word(packed, half, value);
  }
}

/// One bit: word i in bit i of the bytes of the packed word.
void put_bits(const Codes& codes, unsigned bit, std::byte* packed) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 8; ++i) value |= ((codes[i] >> bit) & kLowBits) << i;
  put_word(packed, 0, value);
}

/// Two 6-bit numbers a group in 12 bytes: byte g holds the low nibbles of a[g] and b[g]; byte 8 + g / 2, in the nibble
/// g % 2, the two high bits of a[g] and above them those of b[g].
void put_six_bits(const std::array<std::uint8_t, kGroups>& a, const std::array<std::uint8_t, kGroups>& b,
                  std::byte* packed) {
  for (std::size_t g = 0; g < kGroups; ++g) packed[g] = static_cast<std::byte>((a[g] & 15U) | ((b[g] & 15U) << 4));
  for (std::size_t g = 0; g < kGroups; g += 2) {
    const unsigned even = unsigned{a[g]} >> 4 | unsigned{b[g]} >> 4 << 2;
    const unsigned odd = unsigned{a[g + 1]} >> 4 | unsigned{b[g + 1]} >> 4 << 2;
    packed[8 + g / 2] = static_cast<std::byte>(even | (odd << 4));
  }
}

/// The 32 high bits of Q5_0 and Q5_1, bit e of element e. The product puts four neighbouring bits into a byte each.
void put_high_bits(const std::byte* file, std::byte* packed) {
  const std::uint32_t bits = word(file, 0);
  std::uint32_t value = 0;
  for (unsigned i = 0; i < 8; ++i) value |= ((((bits >> (4 * i)) & 15U) * 0x00204081U) & kLowBits) << i;
  put_word(packed, 0, value);
}

/// Group g of a plane whose 32 bytes hold bit g of every group's elements (Q3_K, Q5_K).
Codes bit_plane(const std::byte* plane, std::size_t group) {
  Codes codes{};
  for (std::size_t i = 0; i < 8; ++i) codes[i] = (word(plane, i) >> group) & kLowBits;
  return codes;
}

/// Two bits of group g: 32 bytes hold four groups, one above the other (Q2_K, Q3_K, high bits of Q6_K).
Codes pair_plane(const std::byte* plane, std::size_t group) {
  Codes codes{};
  for (std::size_t i = 0; i < 8; ++i) codes[i] = (word(plane, 8 * (group / 4) + i) >> (2 * (group % 4))) & kLowPairs;
  return codes;
}

/// Four bits of group g: 32 bytes hold two groups, one above the other (Q4_K, Q5_K).
Codes nibble_plane(const std::byte* plane, std::size_t group) {
  Codes codes{};
  for (std::size_t i = 0; i < 8; ++i) codes[i] = (word(plane, 8 * (group / 2) + i) >> (4 * (group % 2))) & kLowNibbles;
  return codes;
}

/// The 6-bit scales and minima of Q4_K and Q5_K from their 12 bytes.
void put_scales_and_minima(const std::byte* file, std::byte* packed) {
  const auto byte = [&](std::size_t i) { return std::to_integer<unsigned>(file[i]); };
  std::array<std::uint8_t, kGroups> scales{};
  std::array<std::uint8_t, kGroups> minima{};
  for (std::size_t i = 0; i < 4; ++i) {
    scales[i] = static_cast<std::uint8_t>(byte(i) & 63U);
    minima[i] = static_cast<std::uint8_t>(byte(i + 4) & 63U);
    scales[i + 4] = static_cast<std::uint8_t>((byte(i + 8) & 15U) | ((byte(i) >> 6) << 4));
    minima[i + 4] = static_cast<std::uint8_t>((byte(i + 8) >> 4) | ((byte(i + 4) >> 6) << 4));
  }
  put_six_bits(scales, minima, packed);
}

}  // namespace

void rearrange_q5_0(const std::byte* file, std::byte* packed) { put_high_bits(file + 2, packed + 16); }

void rearrange_q5_1(const std::byte* file, std::byte* packed) { put_high_bits(file + 4, packed + 16); }

void rearrange_q8_0(const std::byte* file, std::byte* packed) {
  for (std::size_t i = 0; i < 32; ++i) packed[i] = file[2 + i] ^ std::byte{0x80};
}

void rearrange_q2_k(const std::byte* file, std::byte* packed) {
  for (std::size_t g = 0; g < kGroups; ++g) put_pairs(pair_plane(file + 16, g), 0, packed + 8 * g);
}

void rearrange_q3_k(const std::byte* file, std::byte* packed) {
  const std::byte* scales = file + 96;
  std::array<std::array<std::uint8_t, kGroups>, 2> parts{};
  for (std::size_t i = 0; i < 16; ++i) {
    const unsigned low = (std::to_integer<unsigned>(scales[i % 8]) >> (4 * (i / 8))) & 15U;
    const unsigned high = (std::to_integer<unsigned>(scales[8 + i % 4]) >> (2 * (i / 4))) & 3U;
    parts[i % 2][i / 2] = static_cast<std::uint8_t>(low | (high << 4));
  }
  for (std::size_t g = 0; g < kGroups; ++g) {
    put_pairs(pair_plane(file + 32, g), 0, packed + 8 * g);
    put_bits(bit_plane(file, g), 0, packed + 64 + 4 * g);
  }
  put_six_bits(parts[0], parts[1], packed + 96);
}

void rearrange_q4_k(const std::byte* file, std::byte* packed) {
  for (std::size_t g = 0; g < kGroups; ++g) put_nibbles(nibble_plane(file + 16, g), packed + 16 * g);
  put_scales_and_minima(file + 4, packed + 128);
}

void rearrange_q5_k(const std::byte* file, std::byte* packed) {
  for (std::size_t g = 0; g < kGroups; ++g) {
    put_nibbles(nibble_plane(file + 48, g), packed + 16 * g);
    put_bits(bit_plane(file + 16, g), 0, packed + 128 + 4 * g);
  }
  put_scales_and_minima(file + 4, packed + 160);
}

void rearrange_q6_k(const std::byte* file, std::byte* packed) {
  for (std::size_t g = 0; g < kGroups; ++g) {
    // Half a block: 64 bytes hold the low nibbles of groups 0 and 1, above them those of 2 and 3.
    const std::byte* plane = file + 64 * (g / 4) + 32 * (g % 2);
    Codes low{};
    for (std::size_t i = 0; i < 8; ++i) low[i] = word(plane, i) >> (4 * (g % 4 / 2));
    put_nibbles(low, packed + 16 * g);
    put_pairs(pair_plane(file + 128, g), 0, packed + 128 + 8 * g);
  }
}

}  // namespace gguf_fuse
