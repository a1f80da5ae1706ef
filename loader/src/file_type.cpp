// SPDX-License-Identifier: MIT
#include "gguf_fuse/loader/file_type.hpp"

#include <algorithm>
#include <array>

namespace gguf_fuse::loader {
namespace {

// Facts of llama.cpp: ids and names are llama_ftype (include/llama.h), the types those that its quantiser starts from
// and falls back to (src/llama-quant.cpp). Ids that it no longer has are those of files from before 2025.
constexpr auto kFileTypes = std::to_array<FileType>({
    {0, "F32", "F32", {}, {}},
    {1, "F16", "F16", {}, {}},
    {2, "Q4_0", "Q4_0", {}, {}},
    {3, "Q4_1", "Q4_1", {}, {}},
    {7, "Q8_0", "Q8_0", {}, {}},
    {8, "Q5_0", "Q5_0", {}, {}},
    {9, "Q5_1", "Q5_1", {}, {}},
    {10, "Q2_K", "Q2_K", "Q3_K", "Q4_0"},
    {11, "Q3_K_S", "Q3_K", {}, "Q4_0"},
    {12, "Q3_K_M", "Q3_K", {}, "Q4_0"},
    {13, "Q3_K_L", "Q3_K", {}, "Q4_0"},
    {14, "Q4_K_S", "Q4_K", {}, "Q5_0"},
    {15, "Q4_K_M", "Q4_K", {}, "Q5_0"},
    {16, "Q5_K_S", "Q5_K", {}, "Q5_1"},
    {17, "Q5_K_M", "Q5_K", {}, "Q5_1"},
    {18, "Q6_K", "Q6_K", {}, "Q8_0"},
    {19, "IQ2_XXS", "IQ2_XXS", {}, "IQ4_NL"},
    {20, "IQ2_XS", "IQ2_XS", {}, "IQ4_NL"},
    {21, "Q2_K_S", "Q2_K", {}, "Q4_0"},
    {22, "IQ3_XS", "IQ3_S", "IQ3_XXS", "IQ4_NL"},
    {23, "IQ3_XXS", "IQ3_XXS", {}, "IQ4_NL"},
    {24, "IQ1_S", "IQ1_S", {}, "IQ4_NL"},
    {25, "IQ4_NL", "IQ4_NL", {}, {}},
    {26, "IQ3_S", "IQ3_S", {}, "IQ4_NL"},
    {27, "IQ3_M", "IQ3_S", {}, "IQ4_NL"},
    {28, "IQ2_S", "IQ2_XS", "IQ2_S", "IQ4_NL"},
    {29, "IQ2_M", "IQ2_S", {}, "IQ4_NL"},
    {30, "IQ4_XS", "IQ4_XS", {}, "IQ4_NL"},
    {31, "IQ1_M", "IQ1_M", {}, "IQ4_NL"},
    {32, "BF16", "BF16", {}, {}},
    {33, "Q4_0_4_4", "Q4_0_4_4", {}, {}},
    {34, "Q4_0_4_8", "Q4_0_4_8", {}, {}},
    {35, "Q4_0_8_8", "Q4_0_8_8", {}, {}},
    {36, "TQ1_0", "TQ1_0", {}, "Q4_0"},
    {37, "TQ2_0", "TQ2_0", {}, "Q4_0"},
    {38, "MXFP4_MOE", "MXFP4", {}, {}},
    {39, "NVFP4", "NVFP4", {}, {}},
    {40, "Q1_0", "Q1_0", {}, {}},
    {41, "Q2_0", "Q2_0", {}, "Q4_0"},
});

}  // namespace

std::span<const FileType> file_types() { return kFileTypes; }

const FileType* find_file_type(std::uint64_t id) {
  const auto* const found =
      std::find_if(kFileTypes.begin(), kFileTypes.end(), [id](const FileType& row) { return row.id == id; });
  return found == kFileTypes.end() ? nullptr : found;
}

}  // namespace gguf_fuse::loader
