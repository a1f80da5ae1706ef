// SPDX-License-Identifier: MIT
// Floats, small blocks with a scale, and ternary ones, as they lie in ggml-common.h (ggml).
#include "packing_blocks.hpp"
#include "packing_table.hpp"

namespace gguf_fuse::kernels::detail {
namespace {

void rearrange_q5_0(const std::byte* file, std::byte* packed) { put_high_bits(file + 2, packed + 16); }

void rearrange_q5_1(const std::byte* file, std::byte* packed) { put_high_bits(file + 4, packed + 16); }

/// Signed bytes become unsigned ones, 128 more.
void rearrange_q8_0(const std::byte* file, std::byte* packed) {
  for (std::size_t i = 0; i < 32; ++i) packed[i] = file[2 + i] ^ std::byte{0x80};
}

void rearrange_q1_0(const std::byte* file, std::byte* packed) {
  for (std::size_t g = 0; g < 4; ++g) put_high_bits(file + 2 + 4 * g, packed + 4 * g);
}

/// A byte has four neighbouring elements.
void rearrange_q2_0(const std::byte* file, std::byte* packed) {
  for (std::size_t g = 0; g < 2; ++g) {
    Codes codes{};
    for (std::size_t i = 0; i < 8; ++i) {
      const auto four = std::to_integer<std::uint32_t>(file[2 + 8 * g + i]);
      codes[i] = (four & 3U) | (four & 12U) << 6 | (four & 48U) << 12 | (four & 192U) << 18;
    }
    put_pairs(codes, 0, packed + 8 * g);
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
    {"Q5_0", {{{"nibbles", 6, 16, 4}, {"bits", 2, 4, 4}, {"d", 0, 2, 2}}}, rearrange_q5_0},
    {"Q5_1", {{{"nibbles", 8, 16, 4}, {"bits", 4, 4, 4}, {"d", 0, 2, 2}, {"m", 2, 2, 2}}}, rearrange_q5_1},
    {"Q8_0", {{{"bytes", 2, 32, 4}, {"d", 0, 2, 2}}}, rearrange_q8_0},
    {"Q1_0", {{{"bits", 2, 16, 4}, {"d", 0, 2, 2}}}, rearrange_q1_0},
    {"Q2_0", {{{"pairs", 2, 16, 4}, {"d", 0, 2, 2}}}, rearrange_q2_0},
    {"TQ1_0", {{{"digits_of_32", 0, 32, 4}, {"digits_of_16", 32, 16, 4}, {"digits_of_4", 48, 4, 4}, {"d", 52, 2, 2}}}},
    {"TQ2_0", {{{"pairs", 0, 64, 4}, {"d", 64, 2, 2}}}, rearrange_two_bits<0>},
    {"MXFP4", {{{"nibbles", 1, 16, 4}, {"e", 0, 1, 1}}}},
    {"NVFP4", {{{"nibbles", 4, 32, 4}, {"scales", 0, 4, 2}}}},
};

}  // namespace

std::span<const Packing> basic_packings() { return kPackings; }

}  // namespace gguf_fuse::kernels::detail
