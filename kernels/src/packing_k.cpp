// SPDX-License-Identifier: MIT
// The K-quants: blocks of 256 with small scales within, as they lie in ggml-common.h (ggml).
#include "packing_blocks.hpp"
#include "packing_table.hpp"

namespace gguf_fuse::kernels::detail {
namespace {

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
  const std::byte* scales = file + 96;
  std::array<std::array<std::uint8_t, kBlockGroups>, 2> parts{};
  for (std::size_t i = 0; i < 16; ++i) {
    const unsigned low = (std::to_integer<unsigned>(scales[i % 8]) >> (4 * (i / 8))) & 15U;
    const unsigned high = (std::to_integer<unsigned>(scales[8 + i % 4]) >> (2 * (i / 4))) & 3U;
    parts[i % 2][i / 2] = static_cast<std::uint8_t>(low | (high << 4));
  }
  rearrange_three_bits<32, 0>(file, packed);
  put_six_bits(parts[0], parts[1], packed + 96);
}

void rearrange_q4_k(const std::byte* file, std::byte* packed) {
  for (std::size_t g = 0; g < kBlockGroups; ++g) put_nibbles(nibble_plane(file + 16, g), packed + 16 * g);
  put_scales_and_minima(file + 4, packed + 128);
}

void rearrange_q5_k(const std::byte* file, std::byte* packed) {
  rearrange_five_bits<48, 16>(file, packed);
  put_scales_and_minima(file + 4, packed + 160);
}

void rearrange_q6_k(const std::byte* file, std::byte* packed) {
  for (std::size_t g = 0; g < kBlockGroups; ++g) {
    // Half a block: 64 bytes hold the low nibbles of groups 0 and 1, above them those of 2 and 3.
    const std::byte* plane = file + 64 * (g / 4) + 32 * (g % 2);
    Codes low{};
    for (std::size_t i = 0; i < 8; ++i) low[i] = word(plane, i) >> (4 * (g % 4 / 2));
    put_nibbles(low, packed + 16 * g);
    put_pairs(pair_plane(file + 128, g), 0, packed + 128 + 8 * g);
  }
}

constexpr Packing kPackings[] = {
    {"Q2_K", {{{"pairs", 16, 64, 4}, {"scales", 0, 16, 2}, {"d", 80, 2, 2}, {"m", 82, 2, 2}}}, rearrange_two_bits<16>},
    {"Q3_K",
     {{{"pairs", 32, 64, 4}, {"bits", 0, 32, 4}, {"scales", 96, 8, 1}, {"high_scales", 104, 4, 1}, {"d", 108, 2, 2}}},
     rearrange_q3_k},
    {"Q4_K",
     {{{"nibbles", 16, 128, 4}, {"scales", 4, 8, 1}, {"high_scales", 12, 4, 1}, {"d", 0, 2, 2}, {"m", 2, 2, 2}}},
     rearrange_q4_k},
    {"Q5_K",
     {{{"nibbles", 48, 128, 4},
       {"bits", 16, 32, 4},
       {"scales", 4, 8, 1},
       {"high_scales", 12, 4, 1},
       {"d", 0, 2, 2},
       {"m", 2, 2, 2}}},
     rearrange_q5_k},
    {"Q6_K",
     {{{"nibbles", 0, 128, 4}, {"pairs", 128, 64, 4}, {"scales", 192, 16, 2}, {"d", 208, 2, 2}}},
     rearrange_q6_k},
};

}  // namespace

std::span<const Packing> k_packings() { return kPackings; }

}  // namespace gguf_fuse::kernels::detail
