// SPDX-License-Identifier: MIT
// Element e of a block of ik_llama.cpp's types, straight from its ggml-common.h. Its K types (IQ2_K and so on) have a
// half-precision scale d for 256 elements and small ones within; those called KS have d at the start of the row.
#include <cstdlib>

#include "support/reference/reference_decode.hpp"

namespace gguf_fuse::kernels::detail {
namespace {

/// A second table of each of these is the first moved up by a constant.
constexpr int kIq2Values[] = {-31, -13, 1, 17};
constexpr int kIq3Values[] = {-63, -40, -23, -10, 1, 13, 28, 47};
constexpr int kIq5Values[] = {-126, -114, -103, -92, -83, -74, -65, -57, -50, -43, -36, -30, -24, -18, -12, -6,
                              -1,   5,    11,   17,  23,  29,  36,  43,  51,  59,  68,  77,  87,  97,  109, 121};

double q6_0(Block b, std::size_t e) {
  const int high = b[2 + e % 8] >> (4 * (e / 8 % 2) + 2 * (e / 16)) & 3;
  return half(b) * ((nibble(b + 10, e) | high << 4) - 32);
}

/// Bit e / 16 of the 16 behind d says whether the table is moved.
int k_moved(Block b, std::size_t e) { return bit(b + 2, e / 16); }

/// The nibble for elements e / 16 * 16 to + 15 of those at `at`.
int scale_nibble(Block at, std::size_t e) { return at[e / 32] >> (4 * (e / 16 % 2)) & 15; }

/// IQ4_K and IQ5_K: four bytes of high bits, eight of low nibbles.
double k_scale(Block b, std::size_t e) {
  const int high = b[4 + e / 64] >> (2 * (e / 16 % 4)) & 3;
  return half(b) * ((scale_nibble(b + 8, e) | high << 4) - 32);
}

double iq2_k(Block b, std::size_t e) {
  return half(b) * (scale_nibble(b + 4, e) - 8) * (kIq2Values[k_pair(b + 12, e)] + 5 * k_moved(b, e));
}

double iq3_k(Block b, std::size_t e) {
  const int sign = bit(b + 4, e / 16) != 0 ? -1 : 1;
  const int value = kIq3Values[k_pair(b + 14, e) | k_bit(b + 78, e) << 2] + 4 * k_moved(b, e);
  return half(b) * sign * (2 * scale_nibble(b + 6, e) + 1) * value;
}

double iq4_k(Block b, std::size_t e) {
  return k_scale(b, e) * (kIq4Values[nibble(b + 16 + 16 * (e / 32), e % 32)] + 4 * k_moved(b, e));
}

double iq5_k(Block b, std::size_t e) {
  return k_scale(b, e) * (kIq5Values[k_nibble(b + 16, e) | k_bit(b + 144, e) << 4] + 2 * k_moved(b, e));
}

double iq6_k_scale(Block b, std::size_t e) { return half(b) * static_cast<std::int8_t>(b[4 + e / 16]); }

/// A cubic of the code.
double iq6_k_curve(Block b, std::size_t e) {
  const double code = k_nibble(b + 20, e) | k_pair(b + 148, e) << 4;
  return ((0.0011972F * code - 0.11218F) * code + 6.2568F) * code - 127;
}

double iq6_k(Block b, std::size_t e) { return iq6_k_scale(b, e) * (iq6_k_curve(b, e) + k_moved(b, e)); }

double iq6_k_rounded(Block b, std::size_t e) {
  return iq6_k_scale(b, e) * (std::round(iq6_k_curve(b, e)) + k_moved(b, e));
}

double iq2_ks(Block b, std::size_t e) {
  const std::size_t group = e / 32;
  const int scale = (b[2 + group / 2] >> (4 * (group % 2)) & 15) | bit(b + 1, group) << 4;
  return (scale - 16) * (kIq2Values[k_pair(b + 6, e)] + 5 * bit(b, group));
}

double iq3_ks(Block b, std::size_t e) {
  const std::size_t group = e / 32;
  const int scale = (b[2 + group % 4] >> (4 * (group / 4)) & 15) | bit(b, group) << 4;
  return (scale - 16) * (kIq3Values[k_pair(b + 6, e) | k_bit(b + 70, e) << 2] + 4 * bit(b + 1, group));
}

double iq4_ks(Block b, std::size_t e) {
  const int packed = b[e / 32];
  return ((packed & 254) - 127) * (kIq4Values[nibble(b + 8 + 16 * (e / 32), e % 32)] + 4 * (packed & 1));
}

double iq5_ks(Block b, std::size_t e) {
  const int packed = b[e / 32];
  return ((packed & 254) - 127) * (kIq5Values[k_nibble(b + 8, e) | k_bit(b + 136, e) << 4] + 2 * (packed & 1));
}

/// Eight half-words a group: a bit of the scale's byte each, and four codes as the differences of their bits.
double iq4_kss(Block b, std::size_t e) {
  Block group = b + 16 * (e / 32);
  int packed = 0;
  for (std::size_t i = 0; i < 8; ++i) packed |= (group[2 * i] & 1) << i;
  const std::uint32_t codes = bits16(group + e % 16 / 2 * 2) & 0xfffe;
  const std::uint32_t plain = codes ^ codes >> 1;
  const std::uint32_t code = plain >> (8 * (e % 2) + 4 * (e % 32 / 16)) & 15;
  return ((packed & 254) - 127) * (kIq4Values[code] + 4 * (packed & 1));
}

/// Two elements a code of five bits.
double iq2_kl(Block b, std::size_t e) {
  constexpr std::int8_t kPairs[32][2] = {
      {-63, -23}, {-63, 13}, {-40, -63}, {-40, -10}, {-40, 13}, {-40, 47}, {-23, -40}, {-23, -23},
      {-23, 1},   {-23, 13}, {-23, 28},  {-10, -63}, {-10, 1},  {-10, 13}, {-10, 47},  {1, -23},
      {1, -10},   {1, 1},    {1, 13},    {1, 28},    {13, -40}, {13, -23}, {13, -10},  {13, 1},
      {13, 13},   {28, -63}, {28, -23},  {28, 1},    {28, 28},  {28, 47},  {47, -23},  {47, 13}};
  const std::size_t group = e / 32, i = e % 32 / 2;
  const int code = (b[6 + 16 * (group / 2) + i] >> (4 * (group % 2)) & 15) | (b[70 + i] >> group & 1) << 4;
  const int low = b[2 + group % 4] >> (4 * (group / 4)) & 15;
  const int high = static_cast<int>(bits16(b) >> (2 * group) & 3);
  return ((low | high << 4) - 32) * kPairs[code][e % 2];
}

/// Sixteen elements are five digits of base 3 each of three bytes, and one of the block's last byte.
double iq1_bn(Block b, std::size_t e) {
  constexpr unsigned kPowers[] = {81, 27, 9, 3, 1};
  const std::size_t sixteen = e / 16, i = e % 16;
  const unsigned product = i < 15 ? b[3 * sixteen + i / 5] * kPowers[i % 5] : b[12] * kPowers[sixteen];
  const unsigned byte = product & 255;
  return static_cast<int>((byte + byte / 2) >> 7) - 1;
}

double iq2_bn(Block b, std::size_t e) { return (b[e % 16] >> (2 * (e / 16)) & 3) - 1; }

/// Element e of those that follow from a number.
int trellis(std::uint32_t number, std::size_t e) {
  for (std::size_t i = 0; i <= e; ++i) number *= 0xcbac1fedU;
  int sum = -126;
  for (unsigned byte = 0; byte < 4; ++byte) sum += static_cast<int>(number >> (8 * byte) & 63U);
  return sum;
}

/// The 4-bit scale of element e's 32, in four bytes.
int trellis_scale(Block b, std::size_t e) { return b[e / 32 % 4] >> (4 * (e / 128)) & 15; }

double iq1_kt(Block b, std::size_t e) {
  const std::size_t group = e / 32, point = e / 8;
  const unsigned high = b[40 + 4 * (group % 4) + point % 4] >> (4 * (group / 4)) & 15;
  const unsigned highest = b[group] >> (4 + point % 4) & 1;
  return kIq4Values[b[group] & 15] * trellis((b[8 + point] | high << 8 | highest << 12) + 4096, e % 8);
}

double iq2_kt(Block b, std::size_t e) {
  return kIq4Values[trellis_scale(b, e)] * trellis(bits16(b + 4 + 2 * (e / 8)) + 4096, e % 8);
}

double iq3_kt(Block b, std::size_t e) {
  const int size = std::abs(trellis(bits16(b + 4 + 2 * (e / 8)) + 4096, e % 8));
  return trellis_scale(b, e) * (k_bit(b + 68, e) != 0 ? -size : size);
}

double iq4_kt(Block b, std::size_t e) {
  const std::size_t group = e / 32, point = e / 4;
  const std::uint32_t word = bits32(b + 4 * group);
  const unsigned high = b[96 + 8 * (group % 4) + point % 8] >> (4 * (group / 4)) & 15;
  const std::uint32_t number = b[32 + point] | high << 8 | (word >> (8 + 3 * (point % 8)) & 7U) << 12;
  return (static_cast<int>((word & 255U) >> 1) - 64) * trellis(number + 4096 + ((word & 1U) << 15), e % 4);
}

constexpr DecodeRow kRows[] = {
    {"Q6_0", q6_0},       {"IQ1_BN", iq1_bn}, {"IQ2_BN", iq2_bn}, {"IQ2_K", iq2_k},
    {"IQ3_K", iq3_k},     {"IQ4_K", iq4_k},   {"IQ5_K", iq5_k},   {"IQ6_K", iq6_k, iq6_k_rounded},
    {"IQ4_KSS", iq4_kss}, {"IQ2_KL", iq2_kl}, {"IQ2_KS", iq2_ks}, {"IQ3_KS", iq3_ks},
    {"IQ4_KS", iq4_ks},   {"IQ5_KS", iq5_ks}, {"IQ1_KT", iq1_kt}, {"IQ2_KT", iq2_kt},
    {"IQ3_KT", iq3_kt},   {"IQ4_KT", iq4_kt},
};

}  // namespace

std::span<const DecodeRow> ik_decode_rows() { return kRows; }

}  // namespace gguf_fuse::kernels::detail
