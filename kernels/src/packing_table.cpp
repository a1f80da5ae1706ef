// SPDX-License-Identifier: MIT
#include "packing_table.hpp"

#include <algorithm>
#include <cctype>
#include <iterator>

#include "packing_blocks.hpp"

namespace gguf_fuse {
namespace {

// Layouts of the blocks in the file: ggml-common.h of ggml (block_q4_0 and so on). Words of four bytes hold elements;
// half-precision scales are planes of two-byte words, small integer scales of one- or two-byte words.
constexpr Packing kPackings[] = {
    {"F32", 32, 128, true, {{{0, 128, 4}}}},
    {"F16", 32, 64, true, {{{0, 64, 2}}}},
    {"BF16", 32, 64, true, {{{0, 64, 2}}}},
    {"Q4_0", 32, 18, false, {{{2, 16, 4}, {0, 2, 2}}}},
    {"Q4_1", 32, 20, false, {{{4, 16, 4}, {0, 2, 2}, {2, 2, 2}}}},
    {"Q5_0", 32, 22, false, {{{6, 16, 4}, {2, 4, 4}, {0, 2, 2}}}, rearrange_q5_0},
    {"Q5_1", 32, 24, false, {{{8, 16, 4}, {4, 4, 4}, {0, 2, 2}, {2, 2, 2}}}, rearrange_q5_1},
    {"Q8_0", 32, 34, false, {{{2, 32, 4}, {0, 2, 2}}}, rearrange_q8_0},
    {"Q2_K", 256, 84, false, {{{16, 64, 4}, {0, 16, 2}, {80, 2, 2}, {82, 2, 2}}}, rearrange_q2_k},
    {"Q3_K", 256, 110, false, {{{32, 64, 4}, {0, 32, 4}, {96, 12, 1}, {108, 2, 2}}}, rearrange_q3_k},
    {"Q4_K", 256, 144, false, {{{16, 128, 4}, {4, 12, 1}, {0, 2, 2}, {2, 2, 2}}}, rearrange_q4_k},
    {"Q5_K", 256, 176, false, {{{48, 128, 4}, {16, 32, 4}, {4, 12, 1}, {0, 2, 2}, {2, 2, 2}}}, rearrange_q5_k},
    {"Q6_K", 256, 210, false, {{{0, 128, 4}, {128, 64, 4}, {192, 16, 2}, {208, 2, 2}}}, rearrange_q6_k},
    {"IQ4_NL", 32, 18, false, {{{2, 16, 4}, {0, 2, 2}}}},
    {"IQ4_XS", 256, 136, false, {{{8, 128, 4}, {4, 4, 1}, {2, 2, 2}, {0, 2, 2}}}},
    {"IQ2_XXS", 256, 66, false, {{{2, 64, 4}, {0, 2, 2}}}},
    {"IQ2_XS", 256, 74, false, {{{2, 64, 4}, {66, 8, 1}, {0, 2, 2}}}},
    {"IQ2_S", 256, 82, false, {{{2, 32, 4}, {34, 32, 4}, {66, 8, 1}, {74, 8, 1}, {0, 2, 2}}}},
    {"IQ3_XXS", 256, 98, false, {{{2, 64, 4}, {66, 32, 4}, {0, 2, 2}}}},
    {"IQ3_S", 256, 110, false, {{{2, 64, 4}, {74, 32, 4}, {66, 8, 1}, {106, 4, 1}, {0, 2, 2}}}},
    {"MXFP4", 32, 17, false, {{{1, 16, 4}, {0, 1, 1}}}},
};

}  // namespace

std::string Packing::decode_file() const {
  std::string name(type);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  return "decode/" + name + ".cl";
}

const Packing* find_packing(const TensorType& type) {
  const auto* found = std::find_if(std::begin(kPackings), std::end(kPackings),
                                   [&](const Packing& packing) { return packing.type == type.name; });
  return found == std::end(kPackings) ? nullptr : found;
}

}  // namespace gguf_fuse
