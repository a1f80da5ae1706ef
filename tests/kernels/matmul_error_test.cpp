// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>

#include "matmul_fixture.hpp"

namespace gguf_fuse::kernels {
namespace {

using support::value_of;
using testing::HasSubstr;

class MatmulErrors : public testing::Test {
 protected:
  Matrix matrix(const char* type, std::uint32_t rows, std::uint32_t columns) {
    Matrix made{.shape = {.type = find_tensor_type(type), .rows = rows, .columns = columns}};
    made.buffer = value_of(device_->allocate(std::max<std::uint64_t>(made.shape.bytes(), 64)));
    return made;
  }

  Result<Operation> record(const MatmulShape& shape) { return matmul(*device_, shape, memory_, memory_, memory_); }

  /// Refused, with the words in the message.
  void expect_refused(const MatmulShape& shape, ErrorCode code, const std::string& words) {
    const auto operation = record(shape);
    ASSERT_FALSE(operation) << words;
    EXPECT_EQ(operation.error().code, code) << operation.error().message();
    EXPECT_THAT(operation.error().message(), HasSubstr(words));
  }

  std::shared_ptr<Device> device_ = support::open_device();
  Buffer memory_ = value_of(device_->allocate(1 << 16));
};

TEST_F(MatmulErrors, RefusesTypesThatItCannotCompute) {
  expect_refused({.matrices = {matrix("Q8_K", 16, 256)}}, ErrorCode::UnsupportedType, "Q8_K");
  expect_refused({.matrices = {Matrix{}}}, ErrorCode::UnsupportedType, "no type");
  EXPECT_EQ(embed(*device_, matrix("Q8_K", 16, 256), 1, memory_, memory_, memory_).error().code,
            ErrorCode::UnsupportedType);
}

TEST_F(MatmulErrors, RefusesQuantisedActivationsForFloatWeights) {
  expect_refused({.matrices = {matrix("F16", 16, 64)}}, ErrorCode::InvalidArgument, "F32 activations");
}

TEST_F(MatmulErrors, RefusesMatricesThatDoNotFitTogether) {
  expect_refused({.matrices = {}}, ErrorCode::InvalidArgument, "1 to 3");
  const Matrix small = matrix("Q8_0", 16, 64);
  expect_refused({.matrices = {small, small, small, small}}, ErrorCode::InvalidArgument, "1 to 3");
  expect_refused({.matrices = {small, matrix("Q8_0", 16, 96)}}, ErrorCode::InvalidArgument, "columns");
  expect_refused({.epilogue = Epilogue::Gated, .matrices = {small}}, ErrorCode::InvalidArgument, "gate and up");
  expect_refused({.epilogue = Epilogue::Gated, .matrices = {small, matrix("Q8_0", 17, 64)}}, ErrorCode::InvalidArgument,
                 "rows of up");
}

TEST_F(MatmulErrors, RefusesActivationsThatNeedMoreThanOneMatrix) {
  const Matrix small = matrix("Q8_0", 16, 64);
  expect_refused({.epilogue = Epilogue::Activated, .matrices = {small, small}}, ErrorCode::InvalidArgument, "matrices");
  expect_refused({.epilogue = Epilogue::Activated, .activation = Activation::SiluOai, .matrices = {small}},
                 ErrorCode::InvalidArgument, "no up");
  EXPECT_TRUE(record({.epilogue = Epilogue::Activated, .matrices = {small}}));
}

TEST_F(MatmulErrors, RefusesMatricesThatAreNotInTheirBuffer) {
  Matrix partial = matrix("Q8_0", 16, 64);
  partial.shape.columns = 65;
  expect_refused({.matrices = {partial}}, ErrorCode::InvalidArgument, "whole blocks");
  Matrix shifted = matrix("Q8_0", 16, 64);
  shifted.offset = 32;
  expect_refused({.matrices = {shifted}}, ErrorCode::InvalidArgument, "multiple of 64");
  shifted.offset = 64;
  expect_refused({.matrices = {shifted}}, ErrorCode::InvalidArgument, "in its buffer");
  shifted.offset = std::uint64_t{1} << 63;
  expect_refused({.matrices = {shifted}}, ErrorCode::InvalidArgument, "in its buffer");
}

TEST_F(MatmulErrors, RefusesHeadsThatAreNoTiles) {
  const Matrix small = matrix("Q8_0", 48, 64);
  expect_refused({.matrices = {small}, .heads = 2}, ErrorCode::InvalidArgument, "2 heads");
  expect_refused({.matrices = {small, small}, .heads = 3}, ErrorCode::InvalidArgument, "3 heads");
  expect_refused({.matrices = {small}, .heads = 0}, ErrorCode::InvalidArgument, "0 heads");
  expect_refused({.kind = Activations::F32, .matrices = {matrix("F32", 32, 40)}, .heads = 2},
                 ErrorCode::InvalidArgument, "2 heads");
  expect_refused({.epilogue = Epilogue::Gated, .matrices = {small, small}, .heads = 3}, ErrorCode::InvalidArgument,
                 "3 heads");
}

TEST_F(MatmulErrors, RefusesBuffersThatAreTooSmall) {
  const Matrix large = matrix("Q8_0", 16400, 64);
  expect_refused({.matrices = {large}}, ErrorCode::InvalidArgument, "out");
  expect_refused({.tile = 2, .matrices = {matrix("Q8_0", 16, 64)}}, ErrorCode::InvalidArgument, "tile");
  expect_refused({.matrices = {matrix("Q8_0", 16, 64)}, .bias = value_of(device_->allocate(60))},
                 ErrorCode::InvalidArgument, "bias");
  const Matrix small = matrix("Q8_0", 16, 64);
  expect_refused({.epilogue = Epilogue::Gated, .matrices = {small, small}, .bias = value_of(device_->allocate(64))},
                 ErrorCode::InvalidArgument, "bias");
  const auto no_step = matmul(*device_, {.matrices = {small}}, memory_, memory_, Buffer{});
  ASSERT_FALSE(no_step);
  EXPECT_THAT(no_step.error().message(), HasSubstr("step"));
}

TEST(MatmulWork, CountsOperationsAndBytes) {
  const TensorType* q8 = find_tensor_type("Q8_0");
  MatmulShape shape{.matrices = {Matrix{.shape = {.type = q8, .rows = 32, .columns = 64}}}};
  const Work work = shape.work(16);
  EXPECT_DOUBLE_EQ(work.flops, 2.0 * 16 * 32 * 64);
  EXPECT_DOUBLE_EQ(work.bytes, 32 * 68 + 2 * 48 * 16 + 32 * 16 * 4);
  shape.matrices.push_back(shape.matrices[0]);
  shape.epilogue = Epilogue::Gated;
  EXPECT_EQ(shape.rows(), 32U);
  EXPECT_DOUBLE_EQ(shape.work(16).flops, 2 * work.flops);
  shape.epilogue = Epilogue::Add;
  EXPECT_EQ(shape.rows(), 64U);
}

}  // namespace
}  // namespace gguf_fuse::kernels
