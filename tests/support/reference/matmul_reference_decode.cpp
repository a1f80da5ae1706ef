// SPDX-License-Identifier: MIT
// Element e of a block, straight from the layouts of ggml-common.h (ggml): q4_0 to q8_0 have a half-precision scale d
// (and a minimum m) for 32 elements; the K-quants and IQ types d for 256 and small scales within.
#include <bit>
#include <cmath>
#include <string>

#include "support/reference/matmul_reference.hpp"
#include "support/reference/reference_decode.hpp"

namespace gguf_fuse::kernels {
namespace {

constexpr std::int8_t kMxfp4Values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
constexpr std::uint16_t kIq2XxsGrid[256] = {
#include "decode/iq2_xxs_grid.cl"
};
constexpr std::uint16_t kIq2XsGrid[512] = {
#include "decode/iq2_xs_grid.cl"
};
constexpr std::uint16_t kIq2SGrid[1024] = {
#include "decode/iq2_s_grid.cl"
};
constexpr std::uint16_t kIq1SGrid[2048] = {
#include "decode/iq1_s_grid.cl"
};
constexpr std::uint16_t kIq3XxsGrid[256] = {
#include "decode/iq3_xxs_grid.cl"
};
constexpr std::uint16_t kIq3SGrid[512] = {
#include "decode/iq3_s_grid.cl"
};

double f32(Block b, std::size_t) { return single(b); }
double f16(Block b, std::size_t) { return half(b); }
double bf16(Block b, std::size_t) { return std::bit_cast<float>(bits16(b) << 16); }
double q4_0(Block b, std::size_t e) { return half(b) * (nibble(b + 2, e) - 8); }
double q4_1(Block b, std::size_t e) { return half(b) * nibble(b + 4, e) + half(b + 2); }
double q5_0(Block b, std::size_t e) { return half(b) * ((nibble(b + 6, e) | bit(b + 2, e) << 4) - 16); }
double q5_1(Block b, std::size_t e) { return half(b) * (nibble(b + 8, e) | bit(b + 4, e) << 4) + half(b + 2); }
double q8_0(Block b, std::size_t e) { return half(b) * static_cast<std::int8_t>(b[2 + e]); }
double iq4_nl(Block b, std::size_t e) { return half(b) * kIq4Values[nibble(b + 2, e)]; }
double mxfp4(Block b, std::size_t e) {
  return std::ldexp(static_cast<double>(kMxfp4Values[nibble(b + 1, e)]), b[0] - 128);
}

double q1_0(Block b, std::size_t e) { return half(b) * (2 * bit(b + 2, e) - 1); }
double q2_0(Block b, std::size_t e) { return half(b) * ((b[2 + e / 4] >> (2 * (e % 4)) & 3) - 1); }
double tq2_0(Block b, std::size_t e) { return half(b + 64) * (k_pair(b, e) - 1); }

/// Bytes of five digits of base 3 each: 32 of them, then 16; the last four have the last four digits of 240 to 255.
double tq1_0(Block b, std::size_t e) {
  constexpr unsigned kPowers[] = {1, 3, 9, 27, 81};
  unsigned byte = 0;
  if (e < 160) byte = b[e % 32] * kPowers[e / 32];
  if (e >= 160 && e < 240) byte = b[32 + e % 16] * kPowers[(e - 160) / 16];
  if (e >= 240) byte = b[48 + e % 4] * kPowers[(e - 240) / 4];
  return half(b + 52) * (static_cast<int>((byte & 255) * 3 >> 8) - 1);
}

/// A scale every 16 is a float of four bits of exponent and three of fraction, halved; the value that would be no
/// number counts as 0.
double nvfp4(Block b, std::size_t e) {
  const std::size_t part = e / 16;
  const int exponent = b[part] >> 3 & 15, fraction = b[part] & 7;
  const double scale = exponent == 0 ? std::ldexp(fraction, -10) : std::ldexp(8 + fraction, exponent - 11);
  const int code = b[4 + 8 * part + e % 8] >> (4 * (e / 8 % 2)) & 15;
  return (b[part] == 127 ? 0 : scale) * kMxfp4Values[code];
}

double q2_k(Block b, std::size_t e) {
  const int packed = b[e / 16];
  return half(b + 80) * (packed & 15) * k_pair(b + 16, e) - half(b + 82) * (packed >> 4);
}

double q3_k(Block b, std::size_t e) {
  const std::size_t i = e / 16;
  const int scale = (b[96 + i % 8] >> (4 * (i / 8)) & 15) | (b[104 + i % 4] >> (2 * (i / 4)) & 3) << 4;
  const int high = k_bit(b, e);
  return half(b + 108) * (scale - 32) * (k_pair(b + 32, e) - (high != 0 ? 0 : 4));
}

/// Scale and minimum of 6 bits of a group of 32, minimum subtracted: Q4_K and Q5_K.
double scaled(Block b, std::size_t group, int code) {
  Block s = b + 4;
  const int scale = group < 4 ? s[group] & 63 : (s[group + 4] & 15) | (s[group - 4] >> 6) << 4;
  const int minimum = group < 4 ? s[group + 4] & 63 : s[group + 4] >> 4 | (s[group] >> 6) << 4;
  return half(b) * scale * code - half(b + 2) * minimum;
}

double q4_k(Block b, std::size_t e) { return scaled(b, e / 32, k_nibble(b + 16, e)); }
double q5_k(Block b, std::size_t e) { return scaled(b, e / 32, k_nibble(b + 48, e) | k_bit(b + 16, e) << 4); }

double q6_k(Block b, std::size_t e) {
  const int low = b[64 * (e / 128) + e % 64] >> (4 * (e / 64 % 2)) & 15;
  return half(b + 208) * static_cast<std::int8_t>(b[192 + e / 16]) * ((low | k_pair(b + 128, e) << 4) - 32);
}

double iq4_xs(Block b, std::size_t e) {
  const std::size_t group = e / 32;
  const int scale = (b[4 + group / 2] >> (4 * (group % 2)) & 15) | static_cast<int>(bits16(b + 2) >> (2 * group) & 3)
                                                                       << 4;
  return half(b) * (scale - 32) * kIq4Values[nibble(b + 8 + 16 * group, e % 32)];
}

/// Sign i of eight, of which seven are stored; the eighth makes the number of negative ones even.
double sign_of_seven(std::uint32_t seven, std::size_t i) {
  const std::uint32_t signs = seven | (static_cast<std::uint32_t>(std::popcount(seven)) & 1) << 7;
  return (signs >> i & 1) != 0 ? -1 : 1;
}

/// Value i of a point of eight (iq2_xxs_grid.cl).
double of_eight(std::uint32_t point, std::size_t i) {
  constexpr double kValues[] = {8, 25, 43};
  return kValues[point >> (2 * i) & 3];
}

double iq2_xxs(Block b, std::size_t e) {
  Block group = b + 2 + 8 * (e / 32);
  const std::size_t point = e % 32 / 8;
  const std::uint32_t word = bits32(group + 4);
  return half(b) * (0.5 + (word >> 28)) / 4 * of_eight(kIq2XxsGrid[group[point]], e % 8) *
         sign_of_seven(word >> (7 * point) & 127, e % 8);
}

double iq2_xs(Block b, std::size_t e) {
  const std::uint32_t code = bits16(b + 2 + 2 * (e / 8));
  const int scale = b[66 + e / 32] >> (4 * (e / 16 % 2)) & 15;
  return half(b) * (0.5 + scale) / 4 * of_eight(kIq2XsGrid[code & 511], e % 8) * sign_of_seven(code >> 9, e % 8);
}

double iq2_s(Block b, std::size_t e) {
  const std::size_t point = e / 8;
  const int place = b[2 + point] | (b[66 + e / 32] >> (2 * (point % 4)) & 3) << 8;
  const int scale = b[74 + e / 32] >> (4 * (e / 16 % 2)) & 15;
  return half(b) * (0.5 + scale) / 4 * of_eight(kIq2SGrid[place], e % 8) * (bit(b + 34, e) != 0 ? -1 : 1);
}

/// Value i of a point of eight of -1, 0 and 1 (iq1_s_grid.cl), an eighth more or less.
double near_ternary(std::uint32_t point, std::size_t i, bool less) {
  return static_cast<int>(point >> (2 * i) & 3) - 1 + (less ? -0.125 : 0.125);
}

double iq1_s(Block b, std::size_t e) {
  const std::size_t point = e / 8;
  const std::uint32_t high = bits16(b + 34 + 2 * (e / 32));
  const std::uint32_t place = b[2 + point] | (high >> (3 * (point % 4)) & 7) << 8;
  return half(b) * (2 * (high >> 12 & 7) + 1) * near_ternary(kIq1SGrid[place], e % 8, high >> 15 != 0);
}

/// The half d is the highest nibbles of the four half-words of scales.
double iq1_m(Block b, std::size_t e) {
  Block scales = b + 48;
  std::uint8_t d[2];
  for (std::size_t i = 0; i < 2; ++i) {
    d[i] = static_cast<std::uint8_t>(scales[4 * i + 1] >> 4 | (scales[4 * i + 3] & 240));
  }
  const std::size_t point = e / 8;
  const int high = b[32 + point / 2] >> (4 * (point % 2)) & 15;
  const std::uint32_t scale = bits16(scales + 2 * (e / 64)) >> (3 * (e / 16 % 4)) & 7;
  return half(d) * (2 * scale + 1) * near_ternary(kIq1SGrid[b[point] | (high & 7) << 8], e % 8, high >> 3 != 0);
}

double iq3_xxs(Block b, std::size_t e) {
  const int quarter = kIq3XxsGrid[b[2 + e / 4]] >> (4 * (e % 4)) & 15;
  const std::uint32_t word = bits32(b + 66 + 4 * (e / 32));
  const double value = quarter == 15 ? 62 : 4 * quarter;
  return half(b) * (0.5 + (word >> 28)) / 2 * value * sign_of_seven(word >> (7 * (e % 32 / 8)) & 127, e % 8);
}

double iq3_s(Block b, std::size_t e) {
  const std::size_t point = e / 4;
  const int value = kIq3SGrid[b[2 + point] | bit(b + 66, point) << 8] >> (4 * (e % 4)) & 15;
  const int scale = b[106 + e / 64] >> (4 * (e / 32 % 2)) & 15;
  return half(b) * (1 + 2 * scale) * (bit(b + 74, e) != 0 ? -value : value);
}

constexpr DecodeRow kRows[] = {
    {"F32", f32},       {"F16", f16},         {"BF16", bf16},     {"Q4_0", q4_0},   {"Q4_1", q4_1},
    {"Q5_0", q5_0},     {"Q5_1", q5_1},       {"Q8_0", q8_0},     {"Q2_K", q2_k},   {"Q3_K", q3_k},
    {"Q4_K", q4_k},     {"Q5_K", q5_k},       {"Q6_K", q6_k},     {"MXFP4", mxfp4}, {"IQ4_NL", iq4_nl},
    {"IQ4_XS", iq4_xs}, {"IQ2_XXS", iq2_xxs}, {"IQ2_XS", iq2_xs}, {"IQ2_S", iq2_s}, {"IQ3_XXS", iq3_xxs},
    {"IQ3_S", iq3_s},   {"Q1_0", q1_0},       {"Q2_0", q2_0},     {"TQ1_0", tq1_0}, {"TQ2_0", tq2_0},
    {"NVFP4", nvfp4},   {"IQ1_S", iq1_s},     {"IQ1_M", iq1_m},
};

const DecodeRow* find_row(std::string_view type) {
  for (const std::span<const DecodeRow> family : {mainline_decode_rows(), ik_decode_rows()}) {
    for (const DecodeRow& row : family) {
      if (row.type == type) return &row;
    }
  }
  return nullptr;
}

double row_scale(const TensorType& type, Block row) {
  if (type.row_header_bytes == 0) return 1;
  return type.row_header_bytes == 2 ? half(row) : single(row);
}

}  // namespace

std::span<const DecodeRow> detail::mainline_decode_rows() { return kRows; }

Result<void> decode_row_reference(const TensorType& type, std::span<const std::byte> row, std::span<float> out,
                                  Activations kind) {
  const DecodeRow* found = find_row(type.name);
  if (found == nullptr) return fail(Error{.code = ErrorCode::UnsupportedType, .subject = std::string(type.name)});
  const std::uint64_t expected = row_bytes(type, out.size()).value_or(0);
  if (out.size() % type.block_elements != 0 || expected != row.size()) {
    return fail(Error{.code = ErrorCode::InvalidArgument,
                      .subject = std::string(type.name),
                      .expected = std::to_string(expected) + " bytes",
                      .actual = std::to_string(row.size())});
  }
  const auto* bytes = reinterpret_cast<Block>(row.data());
  const double scale = row_scale(type, bytes);
  const bool rounded = kind == Activations::Q8 && found->rounded != nullptr;
  const auto element = rounded ? found->rounded : found->element;
  for (std::size_t e = 0; e < out.size(); ++e) {
    Block block = bytes + type.row_header_bytes + e / type.block_elements * type.block_bytes;
    out[e] = static_cast<float>(scale * element(block, e % type.block_elements));
  }
  return {};
}

}  // namespace gguf_fuse::kernels
