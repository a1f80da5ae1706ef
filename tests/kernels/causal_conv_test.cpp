// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include "gguf_fuse/kernels/delta.hpp"
#include "run_support.hpp"
#include "support/reference/delta_reference.hpp"

namespace gguf_fuse::kernels {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

class CausalConv : public testing::TestWithParam<Style> {
 protected:
  /// The operation over these steps, one after the other, with states that are NaN before; compared with the reference.
  void expect_reference(ConvShape shape, const std::vector<std::vector<support::PlainRun>>& steps) {
    shape.row = shape.channels + 5;
    shape.offset = 3;
    shape.max_tokens = 200;
    shape.max_sequences = 6;
    const std::vector<float> weights = support::random_floats(std::size_t{shape.channels} * shape.width, 1);
    const Buffer in = support::zeros(device_, std::uint64_t{shape.row} * shape.max_tokens * sizeof(float));
    const Buffer out = support::zeros(device_, std::uint64_t{shape.channels} * shape.max_tokens * sizeof(float));
    const Buffer step = support::zeros(device_, StepTable::most_bytes(shape.max_tokens, shape.max_sequences));
    const Buffer state = support::buffer_of(device_, std::vector<float>(shape.state_bytes() / sizeof(float), kNan));
    std::vector<double> expected_state(shape.state_bytes() / sizeof(float));
    Operation operation = support::value_of(causal_conv(
        device_, shape, {.in = in, .weights = support::buffer_of(device_, weights), .state = state, .out = out}, step));
    for (std::size_t i = 0; i < steps.size(); ++i) {
      SCOPED_TRACE(testing::Message() << "step " << i);
      const std::vector<StepRun> runs = support::runs_of(steps[i]);
      const std::size_t tokens = runs.back().first + runs.back().tokens;
      const std::vector<float> x = support::random_floats(tokens * shape.row, 2 + i, 2);
      support::value_of(in.write(std::as_bytes(std::span(x))).map([] { return 0; }));
      support::run_operation(device_, operation, step, runs);
      const std::vector<double> expected = reference_conv(shape, runs, x, weights, expected_state);
      const std::vector<float> found = support::content_of<float>(out);
      ASSERT_LT((support::relative_error<float, double>(found, expected)), 1e-6);
      const std::vector<float> state_found = support::content_of<float>(state);
      const std::size_t size = state_found.size() / shape.max_sequences;
      for (const StepRun& run : runs) {
        for (std::size_t at = run.sequence * size; at < (run.sequence + 1) * size; ++at) {
          ASSERT_EQ(static_cast<double>(state_found[at]), expected_state[at]) << "state of " << run.sequence;
        }
      }
    }
  }

  Device& device_ = *support::shared_device(GetParam());
};

TEST_P(CausalConv, SingleTokensOfSeveralSequences) {
  expect_reference({.channels = 48}, {{{.sequence = 4}},
                                      {{.sequence = 1}, {.sequence = 4, .position = 1}},
                                      {{.sequence = 4, .position = 2}, {.sequence = 1, .position = 1}},
                                      {{.sequence = 4, .position = 3}},
                                      {{.sequence = 0}, {.sequence = 4, .position = 4}}});
}

/// Shorter than what a sum reaches, as long, around a tile, several; then what goes on behind them.
TEST_P(CausalConv, RunsOfEveryLengthAmongOthers) {
  for (const std::uint32_t tokens : {2U, 3U, 4U, 15U, 16U, 17U, 18U, 35U}) {
    SCOPED_TRACE(tokens);
    expect_reference({.channels = 272},
                     {{{.sequence = 2, .tokens = 3}, {.sequence = 5}},
                      {{.sequence = 2, .position = 3, .tokens = tokens},
                       {.sequence = 3, .tokens = tokens},
                       {.sequence = 5, .position = 1}},
                      {{.sequence = 3, .position = tokens, .tokens = 2}, {.sequence = 2, .position = 3 + tokens}}});
  }
}

TEST_P(CausalConv, OtherWidths) {
  for (const std::uint32_t width : {2U, 3U, 5U, 16U}) {
    SCOPED_TRACE(width);
    expect_reference({.channels = 32, .width = width},
                     {{{.sequence = 1, .tokens = 20}, {.sequence = 0}},
                      {{.sequence = 1, .position = 20}},
                      {{.sequence = 1, .position = 21, .tokens = 3}, {.sequence = 0, .position = 1}}});
  }
}

TEST_P(CausalConv, BeginsAnewAtPositionZero) {
  expect_reference({.channels = 16}, {{{.sequence = 0, .tokens = 5}},
                                      {{.sequence = 0, .tokens = 2}},
                                      {{.sequence = 0, .position = 2, .tokens = 2}},
                                      {{.sequence = 0}}});
}

TEST_P(CausalConv, RefusesWhatDoesNotFit) {
  const ConvShape good{.channels = 32, .row = 40, .offset = 8, .max_tokens = 4, .max_sequences = 2};
  const auto zeros = [&](std::uint64_t count) { return support::zeros(device_, count * sizeof(float)); };
  const ConvBuffers fit{.in = zeros(160), .weights = zeros(128), .state = zeros(192), .out = zeros(128)};
  const Buffer step = support::zeros(device_, StepTable::most_bytes(4, 2)), few = zeros(31);
  const auto code = [&](const ConvShape& shape, const ConvBuffers& buffers, const Buffer& table) {
    const auto result = causal_conv(device_, shape, buffers, table);
    return result ? "none" : std::string(error_name(result.error().code));
  };
  EXPECT_EQ(code(good, fit, step), "none");
  EXPECT_EQ(code(good, fit, few), "InvalidArgument");
  for (Buffer ConvBuffers::*buffer :
       {&ConvBuffers::in, &ConvBuffers::weights, &ConvBuffers::state, &ConvBuffers::out}) {
    ConvBuffers buffers = fit;
    buffers.*buffer = few;
    EXPECT_EQ(code(good, buffers, step), "InvalidArgument");
    buffers.*buffer = {};
    EXPECT_EQ(code(good, buffers, step), "InvalidArgument");
  }
  ConvBuffers same = fit;
  same.out = same.in;
  EXPECT_EQ(code(good, same, step), "InvalidArgument");
  const auto with = [&](std::uint32_t ConvShape::*field, std::uint32_t value) {
    ConvShape shape = good;
    shape.*field = value;
    return code(shape, fit, step);
  };
  for (const std::uint32_t channels : {0U, 8U, 33U, 48U}) {
    EXPECT_EQ(with(&ConvShape::channels, channels), "InvalidArgument");
  }
  for (const std::uint32_t width : {0U, 1U, 17U}) EXPECT_EQ(with(&ConvShape::width, width), "InvalidArgument");
  EXPECT_EQ(with(&ConvShape::row, 39), "InvalidArgument");
  EXPECT_EQ(with(&ConvShape::offset, 0xffffffff), "InvalidArgument");
  EXPECT_EQ(with(&ConvShape::max_tokens, 0), "InvalidArgument");
  EXPECT_EQ(with(&ConvShape::max_sequences, 0), "InvalidArgument");
  EXPECT_EQ(with(&ConvShape::max_sequences, 3), "InvalidArgument");
}

INSTANTIATE_TEST_SUITE_P(, CausalConv, testing::Values(Style::Vector, Style::Group), support::style_test_name);

}  // namespace
}  // namespace gguf_fuse::kernels
