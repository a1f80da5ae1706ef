// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include "attention_support.hpp"
#include "gguf_fuse/kernels/delta.hpp"

namespace gguf_fuse::kernels {
namespace {

constexpr std::uint32_t kTokens = 3;

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// Segments with something between them, in rows with something on both sides.
Columns spread(std::uint32_t segments, std::uint32_t columns, std::uint32_t between) {
  return {.row = segments * (columns + between) + 7,
          .offset = 5,
          .segments = segments,
          .stride = columns + between,
          .columns = columns};
}

class Gates : public testing::TestWithParam<Style> {
 protected:
  /// Where the elements of a segment begin.
  static std::size_t begin_of(const Columns& shape, std::size_t token, std::size_t segment) {
    return token * shape.row + shape.offset + segment * shape.stride;
  }

  /// Runs an operation on `before` and expects what `value(token, segment, column)` says in the segments, and no change
  /// beside them.
  template <typename Value>
  void expect(Result<Operation> recorded, const Columns& shape, const Buffer& x, const std::vector<float>& before,
              Value value) {
    Operation operation = support::value_of(std::move(recorded));
    support::run_operation(device_, operation, step_, kTokens);
    std::vector<float> found = support::content_of<float>(x);
    for (std::size_t token = 0; token < kTokens; ++token) {
      for (std::size_t segment = 0; segment < shape.segments; ++segment) {
        const std::size_t begin = begin_of(shape, token, segment);
        for (std::size_t i = 0; i < shape.columns; ++i) {
          const double wanted = value(token, segment, i);
          ASSERT_NEAR(found[begin + i], wanted, 4e-6 * std::abs(wanted) + 1e-30) << token << " " << segment << " " << i;
          found[begin + i] = before[begin + i];
        }
      }
    }
    ASSERT_EQ(found, before) << "beside the segments";
  }

  Device& device_ = *support::shared_device(GetParam());
  Buffer step_ = support::empty_step(device_);
};

TEST_P(Gates, GateColumns) {
  for (const std::uint32_t columns : {1U, 15U, 16U, 64U, 77U}) {
    for (const std::uint32_t segments : {1U, 3U}) {
      SCOPED_TRACE(testing::Message() << segments << " segments of " << columns);
      const Columns shape = spread(segments, columns, 2), gate_shape = spread(segments, columns, columns);
      const std::vector<float> before = support::random_floats(std::size_t{kTokens + 1} * shape.row, 1, 3);
      std::vector<float> gate = support::random_floats(std::size_t{kTokens} * gate_shape.row, 2, 9);
      gate[gate_shape.offset] = 200;
      const Buffer x = support::buffer_of(device_, before);
      expect(gate_columns(device_, shape, x, gate_shape, support::buffer_of(device_, gate), step_), shape, x, before,
             [&](std::size_t token, std::size_t segment, std::size_t i) {
               return static_cast<double>(before[begin_of(shape, token, segment) + i]) *
                      sigmoid(static_cast<double>(gate[begin_of(gate_shape, token, segment) + i]));
             });
    }
  }
}

TEST_P(Gates, GatedNorm) {
  constexpr float kEpsilon = 1e-4F;
  for (const std::uint32_t columns : {1U, 15U, 16U, 64U, 128U, 200U}) {
    for (const float magnitude : {1.0F, 1e-2F, 1e20F}) {
      SCOPED_TRACE(testing::Message() << columns << " columns of " << magnitude);
      const Columns shape = spread(4, columns, 3), gate_shape = spread(4, columns, 0);
      const std::vector<float> before = support::random_floats(std::size_t{kTokens + 1} * shape.row, 3, magnitude);
      const std::vector<float> gate = support::random_floats(std::size_t{kTokens} * gate_shape.row, 4, 8);
      const std::vector<float> weight = support::random_floats(columns, 5, 2);
      const Buffer x = support::buffer_of(device_, before);
      expect(gated_norm(device_, shape, kEpsilon, x, support::buffer_of(device_, weight), gate_shape,
                        support::buffer_of(device_, gate), step_),
             shape, x, before, [&](std::size_t token, std::size_t segment, std::size_t i) {
               const std::size_t begin = begin_of(shape, token, segment);
               double squares = 0;
               for (std::size_t j = 0; j < columns; ++j) squares += std::pow(static_cast<double>(before[begin + j]), 2);
               const double root = std::sqrt(squares / columns + static_cast<double>(kEpsilon));
               const auto z = static_cast<double>(gate[begin_of(gate_shape, token, segment) + i]);
               return static_cast<double>(before[begin + i]) / root * static_cast<double>(weight[i]) * z * sigmoid(z);
             });
    }
  }
}

TEST_P(Gates, RefuseWhatDoesNotFit) {
  const Columns shape{.row = 64, .segments = 2, .stride = 32, .columns = 32};
  const Buffer row = support::zeros(device_, 64 * sizeof(float)), other = support::zeros(device_, 64 * sizeof(float));
  const Buffer few = support::zeros(device_, 31 * sizeof(float));
  const auto code = [](const Result<Operation>& result) {
    return result ? "none" : std::string(error_name(result.error().code));
  };
  const auto gated = [&](const Columns& x_shape, const Buffer& x, const Columns& gate_shape, const Buffer& gate) {
    std::string columns = code(gate_columns(device_, x_shape, x, gate_shape, gate, step_));
    EXPECT_EQ(columns, code(gated_norm(device_, x_shape, 0, x, row, gate_shape, gate, step_)));
    return columns;
  };
  EXPECT_EQ(gated(shape, row, shape, other), "none");
  EXPECT_EQ(gated(shape, row, shape, row), "InvalidArgument");
  EXPECT_EQ(gated(shape, few, shape, other), "InvalidArgument");
  EXPECT_EQ(gated(shape, row, shape, few), "InvalidArgument");
  EXPECT_EQ(gated(shape, row, shape, Buffer{}), "InvalidArgument");
  EXPECT_EQ(gated(shape, row, {.row = 64, .columns = 64}, other), "InvalidArgument");
  EXPECT_EQ(gated({.row = 64, .columns = 0}, row, {.row = 64, .columns = 0}, other), "InvalidArgument");
  Columns beyond = shape;
  beyond.offset = 1;
  EXPECT_EQ(gated(shape, row, beyond, other), "InvalidArgument");
  EXPECT_EQ(gated(beyond, row, shape, other), "InvalidArgument");
  EXPECT_EQ(code(gated_norm(device_, shape, 0, row, few, shape, other, step_)), "InvalidArgument");
  EXPECT_EQ(code(gated_norm(device_, shape, 0, row, row, shape, other, Buffer{})), "InvalidArgument");
  EXPECT_EQ(code(gate_columns(device_, shape, row, shape, other, Buffer{})), "InvalidArgument");
}

INSTANTIATE_TEST_SUITE_P(, Gates, testing::Values(Style::Vector, Style::Group), support::style_test_name);

}  // namespace
}  // namespace gguf_fuse::kernels
