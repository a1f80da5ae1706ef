// SPDX-License-Identifier: MIT
// The types of ik_llama.cpp, as they lie in its ggml-common.h. Some have one scale for a whole row.
#include "packing_blocks.hpp"
#include "packing_table.hpp"

namespace gguf_fuse::kernels::detail {
namespace {

// Regions that functions ask for their places.
constexpr Regions kQ60 = {{{"nibbles", 10, 16, 4}, {"pairs", 2, 8, 4}, {"d", 0, 2, 2}}};
constexpr Regions kIq2K = {{{"pairs", 12, 64, 4}, {"scales", 4, 8, 1}, {"moved", 2, 2, 2}, {"d", 0, 2, 2}}};
constexpr Regions kIq3K = {{{"pairs", 14, 64, 4},
                            {"bits", 78, 32, 4},
                            {"scales", 6, 8, 1},
                            {"signs", 4, 2, 2},
                            {"moved", 2, 2, 2},
                            {"d", 0, 2, 2}}};
constexpr Regions kIq5K = {{{"nibbles", 16, 128, 4},
                            {"bits", 144, 32, 4},
                            {"scales", 8, 8, 1},
                            {"high_scales", 4, 4, 1},
                            {"moved", 2, 2, 2},
                            {"d", 0, 2, 2}}};
constexpr Regions kIq6K = {
    {{"nibbles", 20, 128, 4}, {"pairs", 148, 64, 4}, {"scales", 4, 16, 2}, {"moved", 2, 2, 2}, {"d", 0, 2, 2}}};
constexpr Regions kIq2Kl = {
    {{"nibbles", 6, 64, 4}, {"bits", 70, 16, 2}, {"scales", 2, 4, 1}, {"high_scales", 0, 2, 2}}};
constexpr Regions kIq2Ks = {{{"pairs", 6, 64, 4}, {"scales", 2, 4, 1}, {"extra", 0, 2, 2}}};
constexpr Regions kIq3Ks = {{{"pairs", 6, 64, 4}, {"bits", 70, 32, 4}, {"scales", 2, 4, 1}, {"extra", 0, 2, 2}}};
constexpr Regions kIq3Kt = {{{"points", 4, 64, 4}, {"bits", 68, 32, 4}, {"scales", 0, 4, 1}}};
constexpr Regions kIq5Ks = {{{"nibbles", 8, 128, 4}, {"bits", 136, 32, 4}, {"scales", 0, 8, 1}}};

/// Byte b of the eight has the high bits of elements b, 16 + b, 8 + b and 24 + b, the lowest first.
void rearrange_q6_0(const std::byte* file, std::byte* packed) {
  constexpr std::size_t kFrom = in_file(kQ60, "pairs"), kTo = in_packed(kQ60, "pairs");
  Codes high{};
  for (std::size_t i = 0; i < 2; ++i) {
    const std::uint32_t four = word(file + kFrom, i);
    high[i] = four;
    high[i + 2] = four >> 4;
    high[i + 4] = four >> 2;
    high[i + 6] = four >> 6;
  }
  put_pairs(high, 0, packed + kTo);
}

void rearrange_iq6_k(const std::byte* file, std::byte* packed) {
  rearrange_nibbles<kIq6K>(file, packed);
  rearrange_pairs<kIq6K>(file, packed);
}

/// Sixteen codes a group. Code 4i + k goes to byte 0, 2, 1 or 3 of the low (even i) or high nibbles of word i / 2, its
/// fifth bit to the same place in a half-word: bit 4i + the byte.
void rearrange_iq2_kl(const std::byte* file, std::byte* packed) {
  constexpr std::size_t kBytes[] = {0, 2, 1, 3};
  constexpr std::size_t kNibbles = in_file(kIq2Kl, "nibbles"), kToNibbles = in_packed(kIq2Kl, "nibbles");
  constexpr std::size_t kBits = in_file(kIq2Kl, "bits"), kToBits = in_packed(kIq2Kl, "bits");
  for (std::size_t g = 0; g < kBlockGroups; ++g) {
    std::uint64_t nibbles = 0;
    std::uint32_t bits = 0;
    for (std::size_t j = 0; j < 16; ++j) {
      const std::size_t i = j / 4, at = kBytes[j % 4];
      const unsigned code = std::to_integer<unsigned>(file[kNibbles + 16 * (g / 2) + j]) >> (4 * (g % 2)) & 15U;
      nibbles |= std::uint64_t{code} << (32 * (i / 2) + 8 * at + 4 * (i % 2));
      bits |= (std::to_integer<unsigned>(file[kBits + j]) >> g & 1U) << (4 * i + at);
    }
    std::memcpy(packed + kToNibbles + 8 * g, &nibbles, 8);
    std::memcpy(packed + kToBits + 2 * g, &bits, 2);
  }
}

constexpr Packing kPackings[] = {
    {"Q6_0", kQ60, rearrange_q6_0},
    {"IQ1_BN", {{{"bytes", 0, 12, 1}, {"last", 12, 1, 1}}}},
    {"IQ2_BN", {{{"bytes", 0, 16, 4}}}},
    {"IQ2_K", kIq2K, rearrange_pairs<kIq2K>},
    {"IQ3_K", kIq3K, rearrange_pairs_and_bits<kIq3K>},
    {"IQ4_K",
     {{{"nibbles", 16, 128, 4}, {"scales", 8, 8, 1}, {"high_scales", 4, 4, 1}, {"moved", 2, 2, 2}, {"d", 0, 2, 2}}}},
    {"IQ5_K", kIq5K, rearrange_nibbles_and_bits<kIq5K>},
    {"IQ6_K", kIq6K, rearrange_iq6_k},
    {"IQ2_KL", kIq2Kl, rearrange_iq2_kl},
    {"IQ2_KS", kIq2Ks, rearrange_pairs<kIq2Ks>},
    {"IQ3_KS", kIq3Ks, rearrange_pairs_and_bits<kIq3Ks>},
    {"IQ4_KS", {{{"nibbles", 8, 128, 4}, {"scales", 0, 8, 1}}}},
    {"IQ4_KSS", {{{"words", 0, 128, 4}}}},
    {"IQ5_KS", kIq5Ks, rearrange_nibbles_and_bits<kIq5Ks>},
    {"IQ1_KT", {{{"points", 8, 32, 4}, {"high_points", 40, 16, 4}, {"scales", 0, 8, 1}}}},
    {"IQ2_KT", {{{"points", 4, 64, 4}, {"scales", 0, 4, 1}}}},
    {"IQ3_KT", kIq3Kt, rearrange_bits<kIq3Kt>},
    {"IQ4_KT", {{{"points", 32, 64, 4}, {"high_points", 96, 32, 4}, {"words", 0, 32, 4}}}},
};

}  // namespace

std::span<const Packing> ik_packings() { return kPackings; }

}  // namespace gguf_fuse::kernels::detail
