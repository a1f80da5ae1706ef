// SPDX-License-Identifier: MIT
#include "gguf_fuse/loader/tensor_type.hpp"
#include "support/paths.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

namespace gguf_fuse::loader {
namespace {

// Numbers from elsewhere: the engines' sources, and rows that their quantizers wrote.
const nlohmann::json& facts() {
  static const nlohmann::json kFacts = nlohmann::json::parse(std::ifstream(test_support::test_data("types.json")));
  return kFacts;
}

TEST(TensorType, EveryRowIsAsTheEnginesDefineIt) {
  std::set<std::uint32_t> known;
  for (const auto& row : facts()["layouts"]) {
    const auto id = row[0].get<std::uint32_t>();
    SCOPED_TRACE(row.dump());
    known.insert(id);
    const TensorType* type = find_tensor_type(id);
    ASSERT_NE(type, nullptr);
    EXPECT_EQ(type->id, id);
    EXPECT_EQ(type->name, row[1].get<std::string>());
    EXPECT_EQ(type->block_elements, row[2].get<std::uint32_t>());
    EXPECT_EQ(type->block_bytes, row[3].get<std::uint32_t>());
    EXPECT_EQ(type->row_header_bytes, row[4].get<std::uint32_t>());
    EXPECT_EQ(type->rows_per_group, row[5].get<std::uint32_t>());
    EXPECT_EQ(find_tensor_type(type->name), type);
  }
  for (const TensorType& type : tensor_types())
    EXPECT_TRUE(known.contains(type.id)) << type.name << " is not in types.json";
}

TEST(TensorType, RowsAreAsLongAsThoseOfRealQuantizers) {
  std::size_t count = 0;
  for (const auto& row : facts()["measured"]) {
    SCOPED_TRACE(row.dump());
    const TensorType* type = find_tensor_type(row[0].get<std::uint32_t>());
    ASSERT_NE(type, nullptr);
    EXPECT_EQ(type->name, row[1].get<std::string>());
    EXPECT_EQ(row_bytes(*type, row[2].get<std::uint64_t>()), row[3].get<std::uint64_t>());
    ++count;
  }
  EXPECT_GE(count, 70U);
}

TEST(TensorType, WhatNoEngineHasIsNotThere) {
  for (const std::uint32_t id : {4U, 5U, 37U, 38U, 43U, 142U, 143U, 1000000000U, 0xffffffffU})
    EXPECT_EQ(find_tensor_type(id), nullptr) << id;
  EXPECT_EQ(find_tensor_type("Q4_2"), nullptr);
  EXPECT_EQ(find_tensor_type(""), nullptr);
  EXPECT_EQ(find_tensor_type("q4_0"), nullptr);
}

TEST(TensorType, OneScaleForTheWholeTensorKeepsItTogether) {
  for (const TensorType& type : tensor_types())
    EXPECT_EQ(type.rows_are_self_contained(), type.name != "I2_S") << type.name;
}

TEST(TensorType, EnginesShareWhatBothCanRead) {
  for (const char* both : {"F32", "F16", "BF16", "Q4_0", "Q8_0", "Q4_K", "IQ4_XS", "MXFP4", "Q1_0"}) {
    EXPECT_EQ(find_tensor_type(both)->engines, kBothEngines) << both;
  }
  for (const char* mainline : {"TQ1_0", "TQ2_0", "NVFP4", "Q2_0", "Q8_K"})
    EXPECT_EQ(find_tensor_type(mainline)->engines, kMainline) << mainline;
  for (const TensorType& type : tensor_types()) {
    const bool only_ik = type.id == 36 || type.id >= 133 || (type.id >= 31 && type.id <= 33);
    EXPECT_EQ(type.engines == kIk, only_ik) << type.name;
  }
}

TEST(TensorType, SizesOfWholeTensors) {
  const TensorType& q4_0 = *find_tensor_type("Q4_0");
  EXPECT_EQ(tensor_bytes(q4_0, {64, 3, 2, 1}), 6U * 36);
  EXPECT_EQ(tensor_bytes(*find_tensor_type("IQ4_KS"), {512, 4, 1, 1}), 4U * (4 + 2 * 136));
  EXPECT_EQ(tensor_bytes(*find_tensor_type("I2_S"), {64, 4, 1, 1}), 64U + 32);
  EXPECT_EQ(tensor_bytes(q4_0, {0, 3, 2, 1}), 0U);
  EXPECT_EQ(tensor_bytes(q4_0, {32, 0, 2, 1}), 0U);
  EXPECT_EQ(tensor_bytes(*find_tensor_type("IQ4_KS"), {0, 2, 1, 1}), 8U);
}

TEST(TensorType, SizesThatDoNotFitAreNothing) {
  constexpr std::uint64_t kTwoTo62 = std::uint64_t{1} << 62;
  const TensorType& f32 = *find_tensor_type("F32");
  EXPECT_EQ(tensor_bytes(f32, {kTwoTo62 / 4, 1, 1, 1}), kTwoTo62);
  EXPECT_EQ(tensor_bytes(f32, {kTwoTo62 / 2, 1, 1, 1}), std::nullopt);
  EXPECT_EQ(tensor_bytes(f32, {kTwoTo62, 4, 1, 1}), std::nullopt);
  EXPECT_EQ(row_bytes(f32, ~std::uint64_t{0}), std::nullopt);
  EXPECT_EQ(row_count({1, kTwoTo62, 2, 1}), std::nullopt);
  EXPECT_EQ(row_count({1, kTwoTo62, 1, 1}), kTwoTo62);
  EXPECT_EQ(row_count({1, 1U << 31, 1U << 31, 4}), std::nullopt);
  const TensorType& i2_s = *find_tensor_type("I2_S");
  EXPECT_EQ(tensor_bytes(i2_s, {4, 2 * kTwoTo62 - 32, 1, 1}), std::nullopt);
}

}  // namespace
}  // namespace gguf_fuse::loader
