// SPDX-License-Identifier: MIT
#include "gguf_fuse/loader/file_type.hpp"

#include <gtest/gtest.h>

#include <set>

#include "gguf_fuse/loader/tensor_type.hpp"

namespace gguf_fuse::loader {
namespace {

TEST(FileType, EveryTypeOfARowIsATensorType) {
  std::set<std::uint32_t> ids;
  std::set<std::string_view> names;
  for (const FileType& row : file_types()) {
    EXPECT_TRUE(ids.insert(row.id).second) << row.id;
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_NE(find_tensor_type(row.type), nullptr) << row.name;
    for (const std::string_view type : {row.second_type, row.short_row_type}) {
      EXPECT_TRUE(type.empty() || find_tensor_type(type) != nullptr) << row.name << ": " << type;
    }
    // a mix is named after the type it starts from; what falls back has blocks that are longer
    const TensorType& type = *find_tensor_type(row.type);
    EXPECT_EQ(row.short_row_type.empty(), type.block_elements <= 32 || row.name == "NVFP4" || row.name == "Q1_0")
        << row.name;
    EXPECT_TRUE(row.has(row.type));
    EXPECT_FALSE(row.has("I8"));
  }
}

// llama.h's numbers, not taken from the table.
TEST(FileType, IdsAreLlamaCpps) {
  const std::pair<std::uint64_t, std::string_view> facts[] = {
      {0, "F32"},     {1, "F16"},     {2, "Q4_0"},       {3, "Q4_1"},    {7, "Q8_0"},     {8, "Q5_0"},
      {9, "Q5_1"},    {10, "Q2_K"},   {11, "Q3_K_S"},    {12, "Q3_K_M"}, {13, "Q3_K_L"},  {14, "Q4_K_S"},
      {15, "Q4_K_M"}, {16, "Q5_K_S"}, {17, "Q5_K_M"},    {18, "Q6_K"},   {19, "IQ2_XXS"}, {20, "IQ2_XS"},
      {21, "Q2_K_S"}, {22, "IQ3_XS"}, {23, "IQ3_XXS"},   {24, "IQ1_S"},  {25, "IQ4_NL"},  {26, "IQ3_S"},
      {27, "IQ3_M"},  {28, "IQ2_S"},  {29, "IQ2_M"},     {30, "IQ4_XS"}, {31, "IQ1_M"},   {32, "BF16"},
      {36, "TQ1_0"},  {37, "TQ2_0"},  {38, "MXFP4_MOE"}, {39, "NVFP4"},  {40, "Q1_0"},    {41, "Q2_0"},
  };
  for (const auto& [id, name] : facts) {
    const FileType* row = find_file_type(id);
    ASSERT_NE(row, nullptr) << id;
    EXPECT_EQ(row->name, name);
  }
  for (const std::uint64_t id : {4U, 5U, 6U, 42U, 1024U + 15}) EXPECT_EQ(find_file_type(id), nullptr) << id;
  EXPECT_EQ(find_file_type(~std::uint64_t{0}), nullptr);
}

}  // namespace
}  // namespace gguf_fuse::loader
