// SPDX-License-Identifier: MIT
// The types of llama.cpp whose weights are found in tables, as they lie in ggml-common.h (ggml).
#include "packing_table.hpp"

namespace gguf_fuse {
namespace {

constexpr Packing kPackings[] = {
    {"IQ4_NL", {{{"nibbles", 2, 16, 4}, {"d", 0, 2, 2}}}},
    {"IQ4_XS", {{{"nibbles", 8, 128, 4}, {"scales", 4, 4, 1}, {"high_scales", 2, 2, 2}, {"d", 0, 2, 2}}}},
    {"IQ2_XXS", {{{"words", 2, 64, 4}, {"d", 0, 2, 2}}}},
    {"IQ2_XS", {{{"words", 2, 64, 4}, {"scales", 66, 8, 1}, {"d", 0, 2, 2}}}},
    {"IQ2_S",
     {{{"points", 2, 32, 4}, {"signs", 34, 32, 4}, {"high_points", 66, 8, 1}, {"scales", 74, 8, 1}, {"d", 0, 2, 2}}}},
    {"IQ3_XXS", {{{"points", 2, 64, 4}, {"words", 66, 32, 4}, {"d", 0, 2, 2}}}},
    {"IQ3_S",
     {{{"points", 2, 64, 4}, {"signs", 74, 32, 4}, {"high_points", 66, 8, 1}, {"scales", 106, 4, 1}, {"d", 0, 2, 2}}}},
};

}  // namespace

std::span<const Packing> iq_packings() { return kPackings; }

}  // namespace gguf_fuse
