// SPDX-License-Identifier: MIT
// The K-quants: blocks of 256 with small scales within, as they lie in ggml-common.h (ggml).
#include "packing_blocks.hpp"
#include "packing_table.hpp"

namespace gguf_fuse::kernels::detail {
namespace {

// Regions that functions ask for their places.
constexpr Regions kQ2K = {{{"pairs", 16, 64, 4}, {"scales", 0, 16, 2}, {"d", 80, 2, 2}, {"m", 82, 2, 2}}};
constexpr Regions kQ3K = {
    {{"pairs", 32, 64, 4}, {"bits", 0, 32, 4}, {"scales", 96, 8, 1}, {"high_scales", 104, 4, 1}, {"d", 108, 2, 2}}};
constexpr Regions kQ4K = {
    {{"nibbles", 16, 128, 4}, {"scales", 4, 8, 1}, {"high_scales", 12, 4, 1}, {"d", 0, 2, 2}, {"m", 2, 2, 2}}};
constexpr Regions kQ5K = {{{"nibbles", 48, 128, 4},
                           {"bits", 16, 32, 4},
                           {"scales", 4, 8, 1},
                           {"high_scales", 12, 4, 1},
                           {"d", 0, 2, 2},
                           {"m", 2, 2, 2}}};
constexpr Regions kQ6K = {{{"nibbles", 0, 128, 4}, {"pairs", 128, 64, 4}, {"scales", 192, 16, 2}, {"d", 208, 2, 2}}};

/// The 6-bit scales and minima of Q4_K and Q5_K from their 12 bytes.
void put_scales_and_minima(const std::byte* file, std::byte* packed) {
  const auto byte = [&](std::size_t i) { return std::to_integer<unsigned>(file[i]); };
  std::array<std::uint8_t, kBlockGroups> scales{};
  std::array<std::uint8_t, kBlockGroups> minima{};
  for (std::size_t i = 0; i < 4; ++i) {
    scales[i] = static_cast<std::uint8_t>(byte(i) & 63U);
    minima[i] = static_cast<std::uint8_t>(byte(i + 4) & 63U);
    scales[i + 4] = static_cast<std::uint8_t>((byte(i + 8) & 15U) | ((byte(i) >> 6) << 4));
    minima[i + 4] = static_cast<std::uint8_t>((byte(i + 8) >> 4) | ((byte(i + 4) >> 6) << 4));
  }
  put_six_bits(scales, minima, packed);
}

void rearrange_q3_k(const std::byte* file, std::byte* packed) {
  constexpr std::size_t kFrom = in_file(kQ3K, "scales"), kTo = in_packed(kQ3K, "scales");
  const std::byte* scales = file + kFrom;
  std::array<std::array<std::uint8_t, kBlockGroups>, 2> parts{};
  for (std::size_t i = 0; i < 16; ++i) {
    const unsigned low = (std::to_integer<unsigned>(scales[i % 8]) >> (4 * (i / 8))) & 15U;
    const unsigned high = (std::to_integer<unsigned>(scales[8 + i % 4]) >> (2 * (i / 4))) & 3U;
    parts[i % 2][i / 2] = static_cast<std::uint8_t>(low | (high << 4));
  }
  rearrange_pairs_and_bits<kQ3K>(file, packed);
  put_six_bits(parts[0], parts[1], packed + kTo);
}

void rearrange_q4_k(const std::byte* file, std::byte* packed) {
  constexpr std::size_t kFrom = in_file(kQ4K, "scales"), kTo = in_packed(kQ4K, "scales");
  rearrange_nibbles<kQ4K>(file, packed);
  put_scales_and_minima(file + kFrom, packed + kTo);
}

void rearrange_q5_k(const std::byte* file, std::byte* packed) {
  constexpr std::size_t kFrom = in_file(kQ5K, "scales"), kTo = in_packed(kQ5K, "scales");
  rearrange_nibbles_and_bits<kQ5K>(file, packed);
  put_scales_and_minima(file + kFrom, packed + kTo);
}

void rearrange_q6_k(const std::byte* file, std::byte* packed) {
  constexpr std::size_t kFrom = in_file(kQ6K, "nibbles"), kTo = in_packed(kQ6K, "nibbles");
  for (std::size_t g = 0; g < kBlockGroups; ++g) {
    // Half a block: 64 bytes hold the low nibbles of groups 0 and 1, above them those of 2 and 3.
    const std::byte* plane = file + kFrom + 64 * (g / 4) + 32 * (g % 2);
    Codes low{};
    for (std::size_t i = 0; i < 8; ++i) low[i] = word(plane, i) >> (4 * (g % 4 / 2));
    put_nibbles(low, packed + kTo + 16 * g);
  }
  rearrange_pairs<kQ6K>(file, packed);
}

constexpr Packing kPackings[] = {
    {"Q2_K", kQ2K, rearrange_pairs<kQ2K>}, {"Q3_K", kQ3K, rearrange_q3_k}, {"Q4_K", kQ4K, rearrange_q4_k},
    {"Q5_K", kQ5K, rearrange_q5_k},        {"Q6_K", kQ6K, rearrange_q6_k},
};

}  // namespace

std::span<const Packing> k_packings() { return kPackings; }

}  // namespace gguf_fuse::kernels::detail
