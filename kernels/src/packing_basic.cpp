// SPDX-License-Identifier: MIT
// Floats, small blocks with a scale, and ternary ones, as they lie in ggml-common.h (ggml).
#include "packing_blocks.hpp"
#include "packing_table.hpp"

namespace gguf_fuse::kernels::detail {
namespace {

// Regions that functions ask for their places.
constexpr Regions kQ50 = {{{"nibbles", 6, 16, 4}, {"bits", 2, 4, 4}, {"d", 0, 2, 2}}};
constexpr Regions kQ51 = {{{"nibbles", 8, 16, 4}, {"bits", 4, 4, 4}, {"d", 0, 2, 2}, {"m", 2, 2, 2}}};
constexpr Regions kQ80 = {{{"bytes", 2, 32, 4}, {"d", 0, 2, 2}}};
constexpr Regions kQ10 = {{{"bits", 2, 16, 4}, {"d", 0, 2, 2}}};
constexpr Regions kQ20 = {{{"pairs", 2, 16, 4}, {"d", 0, 2, 2}}};
constexpr Regions kTq20 = {{{"pairs", 0, 64, 4}, {"d", 64, 2, 2}}};

template <const Regions& Of>
void rearrange_high_bits(const std::byte* file, std::byte* packed) {
  constexpr std::size_t kFrom = in_file(Of, "bits"), kTo = in_packed(Of, "bits");
  put_high_bits(file + kFrom, packed + kTo);
}

/// Signed bytes become unsigned ones, 128 more.
void rearrange_q8_0(const std::byte* file, std::byte* packed) {
  constexpr std::size_t kFrom = in_file(kQ80, "bytes"), kTo = in_packed(kQ80, "bytes");
  for (std::size_t i = 0; i < 32; ++i) packed[kTo + i] = file[kFrom + i] ^ std::byte{0x80};
}

void rearrange_q1_0(const std::byte* file, std::byte* packed) {
  constexpr std::size_t kFrom = in_file(kQ10, "bits"), kTo = in_packed(kQ10, "bits");
  for (std::size_t g = 0; g < 4; ++g) put_high_bits(file + kFrom + 4 * g, packed + kTo + 4 * g);
}

/// A byte has four neighbouring elements.
void rearrange_q2_0(const std::byte* file, std::byte* packed) {
  constexpr std::size_t kFrom = in_file(kQ20, "pairs"), kTo = in_packed(kQ20, "pairs");
  for (std::size_t g = 0; g < 2; ++g) {
    Codes codes{};
    for (std::size_t i = 0; i < 8; ++i) {
      const auto four = std::to_integer<std::uint32_t>(file[kFrom + 8 * g + i]);
      codes[i] = (four & 3U) | (four & 12U) << 6 | (four & 48U) << 12 | (four & 192U) << 18;
    }
    put_pairs(codes, 0, packed + kTo + 8 * g);
  }
}

// Words of four bytes hold elements; half-precision scales are planes of two-byte words, small integer scales of one-
// or two-byte words.
constexpr Packing kPackings[] = {
    {"F32", {{{"values", 0, 128, 4}}}},
    {"F16", {{{"values", 0, 64, 2}}}},
    {"BF16", {{{"values", 0, 64, 2}}}},
    {"Q4_0", {{{"nibbles", 2, 16, 4}, {"d", 0, 2, 2}}}},
    {"Q4_1", {{{"nibbles", 4, 16, 4}, {"d", 0, 2, 2}, {"m", 2, 2, 2}}}},
    {"Q5_0", kQ50, rearrange_high_bits<kQ50>},
    {"Q5_1", kQ51, rearrange_high_bits<kQ51>},
    {"Q8_0", kQ80, rearrange_q8_0},
    {"Q1_0", kQ10, rearrange_q1_0},
    {"Q2_0", kQ20, rearrange_q2_0},
    {"TQ1_0", {{{"digits_of_32", 0, 32, 4}, {"digits_of_16", 32, 16, 4}, {"digits_of_4", 48, 4, 4}, {"d", 52, 2, 2}}}},
    {"TQ2_0", kTq20, rearrange_pairs<kTq20>},
    {"MXFP4", {{{"nibbles", 1, 16, 4}, {"e", 0, 1, 1}}}},
    {"NVFP4", {{{"nibbles", 4, 32, 4}, {"scales", 0, 4, 2}}}, nullptr, true},
};

}  // namespace

std::span<const Packing> basic_packings() { return kPackings; }

}  // namespace gguf_fuse::kernels::detail
