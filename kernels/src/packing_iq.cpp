// SPDX-License-Identifier: MIT
// The types of llama.cpp whose weights are found in tables, as they lie in ggml-common.h (ggml).
#include "packing_blocks.hpp"
#include "packing_table.hpp"

namespace gguf_fuse::kernels::detail {
namespace {

// Regions that functions ask for their places.
constexpr Regions kIq1M = {{{"points", 0, 32, 4},
                            {"high_points", 32, 16, 2},
                            {"scales", 48, 4, 1},
                            {"high_scales", 52, 2, 2},
                            {"d", 54, 2, 2}}};

/// Eight bytes are four half-words: 6 bits of scales of each of two groups, and above them a quarter of d.
void rearrange_iq1_m(const std::byte* file, std::byte* packed) {
  constexpr std::size_t kFrom = in_file(kIq1M, "scales"), kTo = in_packed(kIq1M, "scales");
  std::array<std::uint16_t, 4> parts{};
  std::memcpy(parts.data(), file + kFrom, 8);
  std::uint32_t low = 0;
  unsigned high = 0, d = 0;
  for (unsigned g = 0; g < kBlockGroups; ++g) {
    const unsigned six = parts[g / 2] >> (6 * (g % 2)) & 63U;
    low |= (six & 15U) << (4 * g);
    high |= six >> 4 << (2 * g);
  }
  for (unsigned i = 0; i < 4; ++i) d |= unsigned{parts[i]} >> 12 << (4 * i);
  put_word(packed + kTo, 0, low);
  put_word(packed + kTo, 1, high | d << 16);
}

constexpr Packing kPackings[] = {
    {"IQ4_NL", {{{"nibbles", 2, 16, 4}, {"d", 0, 2, 2}}}},
    {"IQ4_XS", {{{"nibbles", 8, 128, 4}, {"scales", 4, 4, 1}, {"high_scales", 2, 2, 2}, {"d", 0, 2, 2}}}},
    {"IQ2_XXS", {{{"words", 2, 64, 4}, {"d", 0, 2, 2}}}},
    {"IQ2_XS", {{{"words", 2, 64, 4}, {"scales", 66, 8, 1}, {"d", 0, 2, 2}}}},
    {"IQ2_S",
     {{{"points", 2, 32, 4}, {"signs", 34, 32, 4}, {"high_points", 66, 8, 1}, {"scales", 74, 8, 1}, {"d", 0, 2, 2}}}},
    {"IQ1_S", {{{"points", 2, 32, 4}, {"high_points", 34, 16, 2}, {"d", 0, 2, 2}}}},
    {"IQ1_M", kIq1M, rearrange_iq1_m},
    {"IQ3_XXS", {{{"points", 2, 64, 4}, {"words", 66, 32, 4}, {"d", 0, 2, 2}}}},
    {"IQ3_S",
     {{{"points", 2, 64, 4}, {"signs", 74, 32, 4}, {"high_points", 66, 8, 1}, {"scales", 106, 4, 1}, {"d", 0, 2, 2}}}},
};

}  // namespace

std::span<const Packing> iq_packings() { return kPackings; }

}  // namespace gguf_fuse::kernels::detail
