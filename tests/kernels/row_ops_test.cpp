// SPDX-License-Identifier: MIT
#include "gguf_fuse/kernels/row_ops.hpp"

#include <gtest/gtest.h>

#include "attention_support.hpp"
#include "support/reference/reference.hpp"

namespace gguf_fuse::kernels {
namespace {

// One, around a vector, around a work-group of 64, several of both.
constexpr std::uint32_t kColumns[] = {1, 15, 16, 17, 63, 64, 65, 77, 576};
constexpr float kEpsilon = 1e-5F;

std::vector<double> rms_norm(std::span<const float> row, std::span<const float> weight) {
  std::vector<double> out(row.begin(), row.end());
  norm_reference(Norm::Rms, kEpsilon, weight, {}, out);
  return out;
}

class RowOps : public testing::TestWithParam<Style> {
 protected:
  void run(Result<Operation> operation, std::uint32_t tokens) {
    Operation recorded = support::value_of(std::move(operation));
    support::run_operation(device_, recorded, step_, tokens, 3);
  }

  static double error(const std::vector<float>& found, const std::vector<double>& expected) {
    return support::relative_error<float, double>(found, expected);
  }

  Device& device_ = *support::shared_device(GetParam());
  Buffer step_ = support::empty_step(device_);
};

TEST_P(RowOps, CopiesSegmentsAndNothingElse) {
  for (const std::uint32_t columns : kColumns) {
    for (const std::uint32_t segments : {1U, 3U}) {
      for (const std::uint32_t tokens : {1U, 5U}) {
        SCOPED_TRACE(testing::Message() << columns << " columns " << segments << " segments " << tokens << " tokens");
        const Columns from{.row = segments * (columns + 2) + 7,
                           .offset = 5,
                           .segments = segments,
                           .stride = columns + 2,
                           .columns = columns};
        const Columns to{
            .row = segments * columns + 4, .offset = 1, .segments = segments, .stride = columns, .columns = columns};
        // A row more than there are tokens, which nobody may touch.
        const std::vector<float> source = support::random_floats((tokens + 1) * from.row, 1);
        std::vector<float> expected = support::random_floats((tokens + 1) * to.row, 2);
        const Buffer target = support::buffer_of(device_, expected);
        for (std::size_t i = 0; i < std::size_t{tokens} * segments * columns; ++i) {
          const std::size_t token = i / columns / segments, segment = i / columns % segments, column = i % columns;
          expected[token * to.row + 1 + segment * columns + column] =
              source[token * from.row + 5 + segment * (columns + 2) + column];
        }
        run(copy_columns(device_, from, support::buffer_of(device_, source), to, target, step_), tokens);
        ASSERT_EQ(support::content_of<float>(target), expected);
      }
    }
  }
}

TEST_P(RowOps, NormsSegmentsAndNothingElse) {
  for (const std::uint32_t columns : kColumns) {
    for (const std::uint32_t segments : {1U, 3U}) {
      for (const float magnitude : {1.0F, 1e-3F, 1e20F}) {
        SCOPED_TRACE(testing::Message() << columns << " columns " << segments << " segments of " << magnitude);
        const std::uint32_t tokens = 3, stride = columns + 3;
        const Columns shape{
            .row = segments * stride + 4, .offset = 2, .segments = segments, .stride = stride, .columns = columns};
        const std::vector<float> before = support::random_floats((tokens + 1) * shape.row, 3, magnitude);
        const std::vector<float> weight = support::random_floats(columns, 4, 2);
        const Buffer x = support::buffer_of(device_, before);
        const ColumnsNorm rms{.epsilon = kEpsilon, .weight = support::buffer_of(device_, weight)};
        run(norm_columns(device_, shape, rms, x, step_), tokens);
        std::vector<float> found = support::content_of<float>(x), segments_found;
        std::vector<double> expected;
        for (std::size_t i = 0; i < std::size_t{tokens} * segments; ++i) {
          const std::size_t first = i / segments * shape.row + 2 + i % segments * stride;
          const std::vector<double> norm = rms_norm(std::span(before).subspan(first, columns), weight);
          expected.insert(expected.end(), norm.begin(), norm.end());
          const auto begin = found.begin() + static_cast<std::ptrdiff_t>(first);
          segments_found.insert(segments_found.end(), begin, begin + columns);
          std::copy_n(before.begin() + static_cast<std::ptrdiff_t>(first), columns, begin);
        }
        ASSERT_LT(error(segments_found, expected), 2e-6);
        ASSERT_EQ(found, before) << "beside the segments";
      }
    }
  }
}

/// Both norms, with and without weight and bias, those of all segments or of each.
TEST_P(RowOps, NormsSegmentsWithWhatTheirNormHas) {
  for (const std::uint32_t columns : {1U, 17U, 64U, 77U}) {
    for (unsigned bits = 0; bits < 16; ++bits) {
      const std::uint32_t tokens = 2, segments = 3, stride = columns + 1;
      ColumnsNorm norm{.kind = bits & 1 ? Norm::Layer : Norm::Rms, .epsilon = 0.01F, .each_segment = (bits & 2) != 0};
      SCOPED_TRACE(testing::Message() << columns << " columns, case " << bits);
      const std::uint32_t own = norm.each_segment ? columns : 0, weights = columns + own * (segments - 1);
      const std::vector<float> weight = support::random_floats(bits & 4 ? weights : 0, 5, 2);
      const std::vector<float> bias = support::random_floats(bits & 8 ? weights : 0, 6);
      if (!weight.empty()) norm.weight = support::buffer_of(device_, weight);
      if (!bias.empty()) norm.bias = support::buffer_of(device_, bias);
      const Columns shape{
          .row = segments * stride + 4, .offset = 2, .segments = segments, .stride = stride, .columns = columns};
      const std::vector<float> before = support::random_floats(tokens * shape.row, 7);
      const Buffer x = support::buffer_of(device_, before);
      run(norm_columns(device_, shape, norm, x, step_), tokens);
      std::vector<double> expected(before.begin(), before.end());
      for (std::size_t i = 0; i < std::size_t{tokens} * segments; ++i) {
        const std::size_t segment = i % segments;
        const auto of_segment = [&](const std::vector<float>& all) {
          return all.empty() ? std::span(all) : std::span(all).subspan(segment * own, columns);
        };
        norm_reference(norm.kind, norm.epsilon, of_segment(weight), of_segment(bias),
                       std::span(expected).subspan(i / segments * shape.row + 2 + segment * stride, columns));
      }
      ASSERT_LT(error(support::content_of<float>(x), expected), 2e-6);
    }
  }
}

/// Into a buffer of its own, and into each of the branches.
TEST_P(RowOps, AddsTheNormsOfTwoBranches) {
  for (const std::uint32_t columns : kColumns) {
    for (const std::uint32_t tokens : {1U, 4U}) {
      // Branches of very different size: each must have its own factor.
      const std::size_t count = (tokens + 1) * std::size_t{columns};
      const std::vector<float> a = support::random_floats(count, 5, 100), b = support::random_floats(count, 6, 0.01F);
      const std::vector<float> a_weight = support::random_floats(columns, 7),
                               b_weight = support::random_floats(columns, 8);
      std::vector<double> expected;
      for (std::size_t first = 0; first < std::size_t{tokens} * columns; first += columns) {
        const std::vector<double> left = rms_norm(std::span(a).subspan(first, columns), a_weight);
        const std::vector<double> right = rms_norm(std::span(b).subspan(first, columns), b_weight);
        for (std::size_t i = 0; i < columns; ++i) expected.push_back(left[i] + right[i]);
      }
      for (const int where : {0, 1, 2}) {
        SCOPED_TRACE(testing::Message() << columns << " columns " << tokens << " tokens into " << where);
        const TwoBranches branches{.a = support::buffer_of(device_, a),
                                   .a_weight = support::buffer_of(device_, a_weight),
                                   .b = support::buffer_of(device_, b),
                                   .b_weight = support::buffer_of(device_, b_weight)};
        const Buffer out = where == 0   ? support::zeros(device_, count * sizeof(float))
                           : where == 1 ? branches.a
                                        : branches.b;
        const std::vector<float> before = support::content_of<float>(out);
        run(sum_of_norms(device_, columns, kEpsilon, branches, out, step_), tokens);
        std::vector<float> found = support::content_of<float>(out);
        const auto end = found.begin() + static_cast<std::ptrdiff_t>(expected.size());
        ASSERT_TRUE(std::equal(end, found.end(), before.begin() + (end - found.begin()))) << "beyond the last token";
        found.erase(end, found.end());
        ASSERT_LT(error(found, expected), 2e-6);
      }
    }
  }
}

TEST_P(RowOps, GatesRows) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<float> gate{0, 1, -1, 8, -8, 100, -100, kInfinity, -kInfinity, 5};
  const auto tokens = static_cast<std::uint32_t>(gate.size() - 1);
  for (const std::uint32_t columns : kColumns) {
    SCOPED_TRACE(columns);
    const std::vector<float> before = support::random_floats(gate.size() * columns, 9, 4);
    const Buffer x = support::buffer_of(device_, before);
    run(gate_rows(device_, columns, support::buffer_of(device_, gate), x, step_), tokens);
    const std::vector<float> found = support::content_of<float>(x);
    for (std::size_t i = 0; i < found.size(); ++i) {
      const std::size_t token = i / columns;
      const double factor = token < tokens ? 1 / (1 + std::exp(-static_cast<double>(gate[token]))) : 1;
      ASSERT_NEAR(found[i], static_cast<double>(before[i]) * factor, 1e-6 * factor * 4 + 1e-37) << "token " << token;
    }
  }
}

// Around a vector, a work-group and the chunk of a task.
constexpr std::uint32_t kPointwiseColumns[] = {1, 17, 64, 65, 1023, 1025, 2100};

TEST_P(RowOps, ClampsRows) {
  for (const std::uint32_t columns : kPointwiseColumns) {
    std::vector<float> expected = support::random_floats(std::size_t{3} * columns, 10, 2);
    expected[0] = std::numeric_limits<float>::infinity();
    const Buffer x = support::buffer_of(device_, expected);
    run(clamp_rows(device_, columns, 0.75F, x, step_), 2);
    for (std::size_t i = 0; i < std::size_t{2} * columns; ++i) expected[i] = std::clamp(expected[i], -0.75F, 0.75F);
    ASSERT_EQ(support::content_of<float>(x), expected) << columns;
  }
}

TEST_P(RowOps, BendsRowsByXielu) {
  for (const std::uint32_t columns : kPointwiseColumns) {
    for (const Xielu& xielu : {Xielu{.alpha_n = 0.3F, .alpha_p = 1.5F},
                               Xielu{.alpha_n = -2, .alpha_p = -3, .beta = 0.25F, .epsilon = -0.1F}}) {
      std::vector<float> before = support::random_floats(std::size_t{3} * columns, 11, 9);
      before[0] = -1e-7F;
      const Buffer x = support::buffer_of(device_, before);
      run(xielu_rows(device_, columns, xielu, x, step_), 2);
      const std::vector<float> found = support::content_of<float>(x);
      const double beta = static_cast<double>(xielu.beta);
      const double alpha_n = beta + std::log(1 + std::exp(static_cast<double>(xielu.alpha_n)));
      const double alpha_p = std::log(1 + std::exp(static_cast<double>(xielu.alpha_p)));
      for (std::size_t i = 0; i < before.size(); ++i) {
        const double value = static_cast<double>(before[i]);
        const double low = std::expm1(std::min(value, static_cast<double>(xielu.epsilon))) - value;
        double expected = beta * value + (value > 0 ? alpha_p * value * value : alpha_n * low);
        if (i >= std::size_t{2} * columns) expected = value;
        ASSERT_NEAR(found[i], expected, 1e-6 * std::fabs(expected) + 2e-6) << columns << " columns, " << value;
      }
    }
  }
}

/// What goes wrong before must be seen behind: a NaN makes its segment or row NaN, and no other.
TEST_P(RowOps, ANanIsNotHidden) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> rows(2 * 20, 1);
  rows[33] = kNan;
  const std::vector<float> weight(20, 1);
  const auto expect_second_row = [&](const Buffer& buffer) {
    const std::vector<float> found = support::content_of<float>(buffer);
    for (std::size_t i = 0; i < 40; ++i) ASSERT_EQ(std::isnan(found[i]), i >= 20) << i;
  };
  const Buffer ones = support::buffer_of(device_, weight);
  Buffer x;
  for (const Norm kind : {Norm::Rms, Norm::Layer}) {
    x = support::buffer_of(device_, rows);
    run(norm_columns(device_, {.row = 20, .columns = 20}, {.kind = kind, .weight = ones}, x, step_), 2);
    expect_second_row(x);
  }
  const Buffer other = support::buffer_of(device_, std::vector<float>(40, 1));
  x = support::buffer_of(device_, rows);
  run(sum_of_norms(device_, 20, kEpsilon, {.a = other, .a_weight = ones, .b = x, .b_weight = ones}, other, step_), 2);
  expect_second_row(other);
  for (const bool clamp : {false, true}) {
    rows.assign(40, 1);
    std::fill(rows.begin() + 20, rows.end(), kNan);
    x = support::buffer_of(device_, rows);
    run(clamp ? clamp_rows(device_, 20, 2, x, step_) : xielu_rows(device_, 20, {}, x, step_), 2);
    expect_second_row(x);
  }
  x = support::buffer_of(device_, std::vector<float>(40, 1));
  run(gate_rows(device_, 20, support::buffer_of(device_, std::vector<float>{0, kNan}), x, step_), 2);
  expect_second_row(x);
}

TEST_P(RowOps, RefuseWhatDoesNotFit) {
  const Buffer row = support::zeros(device_, 64 * sizeof(float)), few = support::zeros(device_, 63 * sizeof(float));
  const Buffer one = support::zeros(device_, sizeof(float));
  const auto code = [](const Result<Operation>& result) {
    return result ? "none" : std::string(error_name(result.error().code));
  };
  const Columns all{.row = 64, .columns = 64}, halves{.row = 64, .segments = 2, .stride = 32, .columns = 32};
  const auto copy = [&](const Columns& from, const Buffer& source, const Columns& to, const Buffer& target) {
    return code(copy_columns(device_, from, source, to, target, step_));
  };
  const auto norm = [&](const Columns& shape, const ColumnsNorm& with) {
    return code(norm_columns(device_, shape, with, row, step_));
  };
  EXPECT_EQ(copy(all, row, all, row), "none");
  EXPECT_EQ(copy(all, few, all, row), "InvalidArgument");
  EXPECT_EQ(copy(all, row, all, few), "InvalidArgument");
  EXPECT_EQ(copy(all, row, halves, row), "InvalidArgument");
  EXPECT_EQ(copy(halves, row, {.row = 64, .columns = 32}, row), "InvalidArgument");
  // Out of the row, overlapping, nothing.
  const Columns wrong[] = {{.row = 64, .offset = 1, .columns = 64},
                           {.row = 64, .segments = 3, .stride = 32, .columns = 32},
                           {.row = 64, .segments = 0xffffffff, .stride = 0xffffffff, .columns = 1},
                           {.row = 64, .segments = 2, .stride = 31, .columns = 32},
                           {.row = 64, .columns = 0},
                           {.row = 64, .segments = 0, .columns = 1}};
  for (const Columns& shape : wrong) {
    EXPECT_EQ(copy(shape, row, shape, row), "InvalidArgument");
    EXPECT_EQ(norm(shape, {}), "InvalidArgument");
  }
  EXPECT_EQ(norm(halves, {}), "none");
  EXPECT_EQ(norm(all, {.kind = Norm::None}), "InvalidArgument");
  EXPECT_EQ(norm(all, {.weight = few}), "InvalidArgument");
  EXPECT_EQ(norm(all, {.bias = few}), "InvalidArgument");
  EXPECT_EQ(norm(halves, {.weight = few, .bias = few}), "none");
  EXPECT_EQ(norm(halves, {.each_segment = true, .weight = few}), "InvalidArgument");
  EXPECT_EQ(norm(halves, {.each_segment = true, .weight = row, .bias = row}), "none");
  EXPECT_EQ(code(norm_columns(device_, all, {}, few, step_)), "InvalidArgument");
  EXPECT_EQ(code(norm_columns(device_, all, {}, row, Buffer{})), "InvalidArgument");
  const auto sum = [&](const Buffer& a, const Buffer& b, const Buffer& out) {
    return code(sum_of_norms(device_, 64, 0, {.a = a, .a_weight = row, .b = b, .b_weight = row}, out, step_));
  };
  EXPECT_EQ(sum(row, row, row), "none");
  EXPECT_EQ(sum(few, row, row), "InvalidArgument");
  EXPECT_EQ(sum(row, few, row), "InvalidArgument");
  EXPECT_EQ(sum(row, row, few), "InvalidArgument");
  EXPECT_EQ(code(sum_of_norms(device_, 64, 0, {.a = row, .a_weight = row, .b = row}, row, step_)), "InvalidArgument");
  EXPECT_EQ(code(gate_rows(device_, 64, one, row, step_)), "none");
  EXPECT_EQ(code(gate_rows(device_, 64, Buffer{}, row, step_)), "InvalidArgument");
  EXPECT_EQ(code(gate_rows(device_, 65, one, row, step_)), "InvalidArgument");
  EXPECT_EQ(code(gate_rows(device_, 0, one, row, step_)), "InvalidArgument");
}

TEST_P(RowOps, RefuseLimitsAndRowsThatAreNone) {
  const Buffer row = support::zeros(device_, 64 * sizeof(float));
  const auto code = [](const Result<Operation>& result) {
    return result ? "none" : std::string(error_name(result.error().code));
  };
  for (const float most : {0.0F, -1.0F, std::numeric_limits<float>::quiet_NaN()}) {
    EXPECT_EQ(code(clamp_rows(device_, 64, most, row, step_)), "InvalidArgument");
  }
  for (const std::uint32_t columns : {0U, 64U, 65U}) {
    const char* expected = columns == 64 ? "none" : "InvalidArgument";
    EXPECT_EQ(code(clamp_rows(device_, columns, 1, row, step_)), expected);
    EXPECT_EQ(code(xielu_rows(device_, columns, {}, row, step_)), expected);
    EXPECT_EQ(code(xielu_rows(device_, columns, {}, row, Buffer{})), "InvalidArgument");
  }
}

INSTANTIATE_TEST_SUITE_P(, RowOps, testing::Values(Style::Vector, Style::Group), support::style_test_name);

}  // namespace
}  // namespace gguf_fuse::kernels
