// SPDX-License-Identifier: MIT
// Every type against what the engines' own decoders return (tests/data/quant), on the device and in the scalar
// reference.
#include <gmock/gmock.h>

#include "matmul_fixture.hpp"
#include "types.hpp"

namespace gguf_fuse::kernels {
namespace {

constexpr std::uint32_t kColumns = 512;

/// All but F32, which has no reference data and a test of its own.
std::vector<const TensorType*> types_with_data() {
  std::vector<const TensorType*> types = support::computable_types();
  std::erase(types, find_tensor_type("F32"));
  return types;
}

struct Expected {
  support::FileMatrix matrix;
  std::vector<float> values;
};

/// Both files of a type, one below the other.
Expected expected_of(const TensorType& type) {
  Expected expected{.matrix = {.type = &type, .columns = kColumns}, .values = {}};
  for (const char* part : {"", ".rnd"}) {
    const std::vector<std::byte> bytes = support::read_file(support::quant_file(type.name, std::string(part) + ".bin"));
    expected.matrix.bytes.insert(expected.matrix.bytes.end(), bytes.begin(), bytes.end());
    const std::vector<std::byte> floats =
        support::read_file(support::quant_file(type.name, std::string(part) + ".f32"));
    const std::size_t before = expected.values.size();
    expected.values.resize(before + floats.size() / sizeof(float));
    std::memcpy(expected.values.data() + before, floats.data(), floats.size());
  }
  expected.matrix.rows = static_cast<std::uint32_t>(expected.values.size() / kColumns);
  return expected;
}

/// Floats exactly, others to 1e-6 of the row's largest value.
void expect_rows(const std::vector<float>& got, const std::vector<float>& want, const TensorType& type) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t row = 0; row < want.size() / kColumns; ++row) {
    float largest = 0;
    for (std::size_t i = row * kColumns; i < (row + 1) * kColumns; ++i) largest = std::max(largest, std::fabs(want[i]));
    const float tolerance = support::is_float(type) ? 0.0F : 1e-6F * largest;
    for (std::size_t i = row * kColumns; i < (row + 1) * kColumns; ++i) {
      ASSERT_LE(std::fabs(got[i] - want[i]), tolerance)
          << type.name << " row " << row << " column " << i % kColumns << ": " << got[i] << " for " << want[i];
    }
  }
}

TEST(Decode, TheScalarReferenceReadsEveryType) {
  for (const TensorType* type : types_with_data()) {
    const Expected expected = expected_of(*type);
    std::vector<float> got(expected.values.size());
    const std::size_t row_bytes = expected.matrix.row_bytes();
    for (std::size_t row = 0; row < expected.matrix.rows; ++row) {
      ASSERT_TRUE(decode_row_reference(*expected.matrix.type,
                                       std::span(expected.matrix.bytes).subspan(row * row_bytes, row_bytes),
                                       std::span(got).subspan(row * kColumns, kColumns)));
    }
    expect_rows(got, expected.values, *type);
  }
}

TEST(Decode, TheScalarReferenceRefusesWhatItDoesNotKnow) {
  std::vector<float> out(32);
  const std::vector<std::byte> row(18);
  EXPECT_EQ(decode_row_reference(*find_tensor_type("Q8_1"), row, out).error().code, ErrorCode::UnsupportedType);
  EXPECT_EQ(decode_row_reference(*find_tensor_type("Q4_1"), row, out).error().code, ErrorCode::InvalidArgument);
  EXPECT_TRUE(decode_row_reference(*find_tensor_type("Q4_0"), row, out));
}

class DecodeOnDevice : public testing::TestWithParam<support::Variant> {};

/// All rows in a scrambled order, through pack_tile() and embed().
std::vector<float> embedded(const support::Variant& variant, const support::FileMatrix& file, float factor) {
  const std::shared_ptr<Device> device = support::shared_device(variant.style, variant.dot);
  std::vector<std::int32_t> tokens(file.rows);
  for (std::uint32_t i = 0; i < file.rows; ++i) tokens[i] = static_cast<std::int32_t>((i * 5 + 3) % file.rows);
  const Matrix table = support::upload(*device, file, 64);
  const Buffer out = support::value_of(device->allocate(std::uint64_t{file.rows} * file.columns * sizeof(float)));
  Operation operation = support::value_of(embed(*device, table, factor, support::buffer_of(*device, tokens), out,
                                                support::step_buffer(*device, file.rows)));
  EXPECT_TRUE(operation.enqueue({.tokens = file.rows}));
  const std::vector<float> scrambled = support::content_of<float>(out);
  std::vector<float> rows(scrambled.size());
  for (std::size_t i = 0; i < file.rows; ++i) {
    std::copy_n(scrambled.begin() + static_cast<std::ptrdiff_t>(i * file.columns), file.columns,
                rows.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(tokens[i]) * file.columns));
  }
  return rows;
}

TEST_P(DecodeOnDevice, ReadsEveryType) {
  if (!support::can_run(GetParam())) GTEST_SKIP() << "not on this device";
  for (const TensorType* type : types_with_data()) {
    const Expected expected = expected_of(*type);
    expect_rows(embedded(GetParam(), expected.matrix, 1), expected.values, *type);
  }
}

TEST_P(DecodeOnDevice, ReadsFloatsOfAnyLengthTimesAFactor) {
  if (!support::can_run(GetParam())) GTEST_SKIP() << "not on this device";
  const support::FileMatrix file = support::random_matrix("F32", 19, 37, 3);
  const std::vector<float> got = embedded(GetParam(), file, 1.5F);
  for (std::size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], 1.5F * file.values[i]) << i;
}

TEST_P(DecodeOnDevice, MultipliesRowsByTheirFactors) {
  if (!support::can_run(GetParam())) GTEST_SKIP() << "not on this device";
  const support::FileMatrix file = support::random_matrix("NVFP4", 37, kColumns, 4);
  ASSERT_EQ(file.factors.size(), 37U);
  expect_rows(embedded(GetParam(), file, 1), file.values, *file.type);
}

// The AVX form of the dot product changes nothing in how weights are read.
INSTANTIATE_TEST_SUITE_P(Variants, DecodeOnDevice,
                         testing::Values(support::Variant{Style::Vector, DotProduct::None},
                                         support::Variant{Style::Vector, DotProduct::VnniAvx512},
                                         support::Variant{Style::Group, DotProduct::None}),
                         support::variant_test_name);

}  // namespace
}  // namespace gguf_fuse::kernels
