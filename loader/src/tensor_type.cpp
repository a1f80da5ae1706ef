// SPDX-License-Identifier: MIT
#include "gguf_fuse/loader/tensor_type.hpp"

#include <algorithm>

#include "checked_math.hpp"

namespace gguf_fuse::loader {
namespace {

// Ids, block sizes and row layouts are facts of ggml (ggml.h, ggml-common.h) and of ik_llama.cpp (ggml.h,
// iqk_quantize.cpp); docs/format.md says at which revisions. An id that the two engines use for different layouts
// carries mainline's. Columns: id, name, elements and bytes of a block, row header, rows per group, tensor tail,
// engines.
constexpr std::array kTypes = {
    TensorType{0, "F32", 1, 4, 0, 1, 0, kBothEngines},
    TensorType{1, "F16", 1, 2, 0, 1, 0, kBothEngines},
    TensorType{2, "Q4_0", 32, 18, 0, 1, 0, kBothEngines},
    TensorType{3, "Q4_1", 32, 20, 0, 1, 0, kBothEngines},
    TensorType{6, "Q5_0", 32, 22, 0, 1, 0, kBothEngines},
    TensorType{7, "Q5_1", 32, 24, 0, 1, 0, kBothEngines},
    TensorType{8, "Q8_0", 32, 34, 0, 1, 0, kBothEngines},
    TensorType{9, "Q8_1", 32, 36, 0, 1, 0, kBothEngines},
    TensorType{10, "Q2_K", 256, 84, 0, 1, 0, kBothEngines},
    TensorType{11, "Q3_K", 256, 110, 0, 1, 0, kBothEngines},
    TensorType{12, "Q4_K", 256, 144, 0, 1, 0, kBothEngines},
    TensorType{13, "Q5_K", 256, 176, 0, 1, 0, kBothEngines},
    TensorType{14, "Q6_K", 256, 210, 0, 1, 0, kBothEngines},
    TensorType{15, "Q8_K", 256, 292, 0, 1, 0, kMainline},  // 296 in ik_llama.cpp; an activation type, not met in files
    TensorType{16, "IQ2_XXS", 256, 66, 0, 1, 0, kBothEngines},
    TensorType{17, "IQ2_XS", 256, 74, 0, 1, 0, kBothEngines},
    TensorType{18, "IQ3_XXS", 256, 98, 0, 1, 0, kBothEngines},
    TensorType{19, "IQ1_S", 256, 50, 0, 1, 0, kBothEngines},
    TensorType{20, "IQ4_NL", 32, 18, 0, 1, 0, kBothEngines},
    TensorType{21, "IQ3_S", 256, 110, 0, 1, 0, kBothEngines},
    TensorType{22, "IQ2_S", 256, 82, 0, 1, 0, kBothEngines},
    TensorType{23, "IQ4_XS", 256, 136, 0, 1, 0, kBothEngines},
    TensorType{24, "I8", 1, 1, 0, 1, 0, kBothEngines},
    TensorType{25, "I16", 1, 2, 0, 1, 0, kBothEngines},
    TensorType{26, "I32", 1, 4, 0, 1, 0, kBothEngines},
    TensorType{27, "I64", 1, 8, 0, 1, 0, kBothEngines},
    TensorType{28, "F64", 1, 8, 0, 1, 0, kBothEngines},
    TensorType{29, "IQ1_M", 256, 56, 0, 1, 0, kBothEngines},
    TensorType{30, "BF16", 1, 2, 0, 1, 0, kBothEngines},
    TensorType{31, "Q4_0_4_4", 32, 18, 0, 4, 0, kIk},
    TensorType{32, "Q4_0_4_8", 32, 18, 0, 4, 0, kIk},
    TensorType{33, "Q4_0_8_8", 32, 18, 0, 8, 0, kIk},
    TensorType{34, "TQ1_0", 256, 54, 0, 1, 0, kMainline},
    TensorType{35, "TQ2_0", 256, 66, 0, 1, 0, kMainline},
    TensorType{36, "I2_S", 4, 1, 0, 1, 32, kIk},  // one scale for the whole tensor, in 32 bytes behind the rows
    TensorType{39, "MXFP4", 32, 17, 0, 1, 0, kBothEngines},
    TensorType{40, "NVFP4", 64, 36, 0, 1, 0, kMainline},
    TensorType{41, "Q1_0", 128, 18, 0, 1, 0, kBothEngines},  // ik_llama.cpp: Q1_0_G128
    TensorType{42, "Q2_0", 64, 18, 0, 1, 0, kMainline},
    TensorType{133, "Q6_0", 32, 26, 0, 1, 0, kIk},
    TensorType{134, "IQ1_BN", 64, 13, 2, 1, 0, kIk},
    TensorType{135, "IQ2_BN", 64, 16, 4, 1, 0, kIk},
    TensorType{136, "Q8_K64", 64, 68, 0, 1, 0, kIk},
    TensorType{137, "IQ2_K", 256, 76, 0, 1, 0, kIk},
    TensorType{138, "IQ3_K", 256, 110, 0, 1, 0, kIk},
    TensorType{139, "IQ4_K", 256, 144, 0, 1, 0, kIk},
    TensorType{140, "IQ5_K", 256, 176, 0, 1, 0, kIk},
    TensorType{141, "IQ6_K", 256, 212, 0, 1, 0, kIk},
    TensorType{144, "IQ4_KS", 256, 136, 4, 1, 0, kIk},
    TensorType{145, "IQ2_KS", 256, 70, 2, 1, 0, kIk},
    TensorType{146, "IQ4_KSS", 256, 128, 4, 1, 0, kIk},
    TensorType{147, "Q8_K16", 64, 64, 20, 1, 0, kIk},
    TensorType{148, "Q8_K32", 256, 296, 0, 1, 0, kIk},
    TensorType{149, "Q8_KR8", 256, 296, 0, 1, 0, kIk},
    TensorType{150, "Q8_K128", 128, 140, 0, 1, 0, kIk},
    TensorType{151, "Q8_KV", 32, 32, 8, 1, 0, kIk},
    TensorType{152, "IQ5_KS", 256, 168, 4, 1, 0, kIk},
    TensorType{153, "IQ2_KT", 256, 68, 4, 1, 0, kIk},
    TensorType{154, "IQ3_KT", 256, 100, 4, 1, 0, kIk},
    TensorType{155, "IQ4_KT", 256, 128, 4, 1, 0, kIk},
    TensorType{156, "IQ3_KS", 256, 102, 2, 1, 0, kIk},
    TensorType{157, "IQ2_KL", 256, 86, 2, 1, 0, kIk},
    TensorType{158, "IQ1_KT", 256, 56, 4, 1, 0, kIk},
    TensorType{202, "Q4_0_R8", 32, 18, 0, 8, 0, kIk},
    TensorType{206, "Q5_0_R4", 32, 22, 0, 4, 0, kIk},
    TensorType{208, "Q8_0_R8", 32, 34, 0, 8, 0, kIk},
    TensorType{210, "Q2_K_R4", 256, 84, 0, 4, 0, kIk},
    TensorType{211, "Q3_K_R4", 256, 110, 0, 4, 0, kIk},
    TensorType{212, "Q4_K_R4", 256, 144, 0, 4, 0, kIk},
    TensorType{213, "Q5_K_R4", 256, 176, 0, 4, 0, kIk},
    TensorType{214, "Q6_K_R4", 256, 210, 0, 4, 0, kIk},
    TensorType{216, "IQ2_XXS_R4", 256, 66, 0, 4, 0, kIk},
    TensorType{217, "IQ2_XS_R4", 256, 74, 0, 4, 0, kIk},
    TensorType{218, "IQ3_XXS_R4", 256, 98, 0, 4, 0, kIk},
    TensorType{219, "IQ1_S_R4", 32, 6, 2, 4, 0, kIk},
    TensorType{220, "IQ4_NL_R4", 32, 18, 0, 4, 0, kIk},
    TensorType{221, "IQ3_S_R4", 256, 110, 0, 4, 0, kIk},
    TensorType{222, "IQ2_S_R4", 256, 82, 0, 4, 0, kIk},
    TensorType{223, "IQ4_XS_R8", 256, 136, 0, 8, 0, kIk},
    TensorType{229, "IQ1_M_R4", 32, 7, 2, 4, 0, kIk},
    TensorType{230, "BF16_R16", 1, 2, 0, 16, 0, kIk},
    TensorType{233, "Q6_0_R4", 32, 26, 0, 4, 0, kIk},
    TensorType{335, "IQ2_BN_R4", 64, 16, 4, 4, 0, kIk},
    TensorType{337, "IQ2_K_R4", 256, 76, 0, 4, 0, kIk},
    TensorType{338, "IQ3_K_R4", 256, 110, 0, 4, 0, kIk},
    TensorType{339, "IQ4_K_R4", 256, 144, 0, 4, 0, kIk},
    TensorType{340, "IQ5_K_R4", 256, 176, 0, 4, 0, kIk},
    TensorType{344, "IQ4_KS_R4", 256, 136, 4, 4, 0, kIk},
    TensorType{352, "IQ5_KS_R4", 256, 168, 4, 4, 0, kIk},
    TensorType{353, "MXFP4_R8", 32, 17, 0, 8, 0, kIk},
    TensorType{397, "Q8_K_R16", 256, 258, 0, 16, 0, kIk},
    TensorType{398, "Q8_KV_R8", 32, 32, 4, 8, 0, kIk},
    TensorType{399, "Q8_K_R8", 256, 258, 0, 8, 0, kIk},
};

constexpr bool ids_ascend() {
  for (std::size_t i = 1; i < kTypes.size(); ++i) {
    if (kTypes[i - 1].id >= kTypes[i].id) return false;
  }
  return true;
}

constexpr bool rows_are_sane() {
  for (const TensorType& type : kTypes) {
    const bool power_of_two = type.block_elements != 0 && (type.block_elements & (type.block_elements - 1)) == 0;
    const bool group_fits = type.rows_per_group != 0 && (type.rows_per_group & (type.rows_per_group - 1)) == 0;
    // No type of either engine spends more than 8 bytes or less than 1 bit on an element.
    const bool bits = type.block_bytes * 8 >= type.block_elements && type.block_bytes <= type.block_elements * 8;
    if (!power_of_two || !group_fits || !bits || type.name.empty() || type.engines == 0) return false;
  }
  return true;
}

constexpr bool names_differ() {
  for (std::size_t i = 0; i < kTypes.size(); ++i) {
    for (std::size_t j = i + 1; j < kTypes.size(); ++j) {
      if (kTypes[i].name == kTypes[j].name) return false;
    }
  }
  return true;
}

static_assert(ids_ascend(), "find_tensor_type searches by bisection");
static_assert(rows_are_sane());
static_assert(names_differ());

}  // namespace

std::span<const TensorType> tensor_types() { return kTypes; }

const TensorType* find_tensor_type(std::uint32_t id) {
  const auto* found = std::lower_bound(kTypes.begin(), kTypes.end(), id,
                                       [](const TensorType& type, std::uint32_t wanted) { return type.id < wanted; });
  return found != kTypes.end() && found->id == id ? found : nullptr;
}

const TensorType* find_tensor_type(std::string_view name) {
  const auto* found =
      std::find_if(kTypes.begin(), kTypes.end(), [name](const TensorType& t) { return t.name == name; });
  return found != kTypes.end() ? found : nullptr;
}

std::optional<std::uint64_t> row_count(const Dimensions& dims) {
  const auto matrix = checked_multiply(dims[1], dims[2]);
  return matrix ? checked_multiply(*matrix, dims[3]) : std::nullopt;
}

std::optional<std::uint64_t> row_bytes(const TensorType& type, std::uint64_t elements) {
  const auto blocks = checked_multiply(elements / type.block_elements, type.block_bytes);
  return blocks ? checked_add(*blocks, type.row_header_bytes) : std::nullopt;
}

std::optional<std::uint64_t> tensor_bytes(const TensorType& type, const Dimensions& dims) {
  if (!row_count(dims)) return std::nullopt;
  // Row, matrix and stack of matrices are strides of their own, and have to fit even where a zero comes behind.
  auto bytes = row_bytes(type, dims[0]);
  for (std::size_t i = 1; i < dims.size() && bytes; ++i) bytes = checked_multiply(*bytes, dims[i]);
  return bytes ? checked_add(*bytes, type.tail_bytes) : std::nullopt;
}

}  // namespace gguf_fuse::loader
