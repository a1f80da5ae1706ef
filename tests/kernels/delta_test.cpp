// SPDX-License-Identifier: MIT
#include "gguf_fuse/kernels/delta.hpp"

#include <gtest/gtest.h>

#include "delta_fixture.hpp"

namespace gguf_fuse::kernels {
namespace {

/// Relative to the largest number: rounding of floats over hundreds of tokens.
constexpr double kTolerance = 4e-6;

class Delta : public testing::TestWithParam<Style> {
 protected:
  void expect_reference(const DeltaShape& shape, const std::vector<std::vector<support::PlainRun>>& steps) {
    support::DeltaLayer layer(device_, shape);
    for (std::size_t i = 0; i < steps.size(); ++i) {
      SCOPED_TRACE(testing::Message() << "step " << i);
      const std::vector<StepRun> runs = support::runs_of(steps[i]);
      const support::DeltaRows rows = support::delta_rows(shape, runs.back().first + runs.back().tokens, 3 * i);
      const std::vector<float> found = layer.run(runs, rows);
      const std::vector<double> expected = layer.expected(runs, rows);
      ASSERT_EQ(found.size(), expected.size());
      ASSERT_LT((support::relative_error<float, double>(found, expected)), kTolerance);
      for (const StepRun& run : runs) {
        ASSERT_LT(
            (support::relative_error<float, double>(layer.state(run.sequence), layer.expected_state(run.sequence))),
            kTolerance)
            << "state of " << run.sequence;
      }
    }
  }

  Device& device_ = *support::shared_device(GetParam());
};

TEST_P(Delta, SingleTokensOfSeveralSequences) {
  for (const KeyHeads order : {KeyHeads::Grouped, KeyHeads::Tiled}) {
    SCOPED_TRACE(order == KeyHeads::Tiled ? "tiled" : "grouped");
    expect_reference(support::delta_shape(order, 32, 80),
                     {{{.sequence = 3}},
                      {{.sequence = 1}, {.sequence = 3, .position = 1}},
                      {{.sequence = 3, .position = 2}, {.sequence = 1, .position = 1}},
                      {{.sequence = 3}}});
  }
}

TEST_P(Delta, ShortRunsInChunks) {
  for (const KeyHeads order : {KeyHeads::Grouped, KeyHeads::Tiled}) {
    SCOPED_TRACE(order == KeyHeads::Tiled ? "tiled" : "grouped");
    expect_reference(support::delta_shape(order, 16, 16),
                     {{{.sequence = 1, .tokens = 5}, {.sequence = 0}},
                      {{.sequence = 1, .position = 5, .tokens = 18}},
                      {{.sequence = 0, .position = 1, .tokens = 2}, {.sequence = 1, .position = 23}}});
  }
}

/// Around a tile and a power of two, for a model's head sizes, and then what goes on behind.
TEST_P(Delta, LongRunsOfManyLengths) {
  for (const std::uint32_t tokens : {2U, 15U, 16U, 17U, 63U, 64U, 65U, 130U, 512U}) {
    SCOPED_TRACE(tokens);
    expect_reference(support::delta_shape(KeyHeads::Tiled, 128, 64),
                     {{{.sequence = 2, .tokens = tokens}}, {{.sequence = 2, .position = tokens, .tokens = 3}}});
  }
}

TEST_P(Delta, LongRunsAmongSingleTokens) {
  expect_reference(support::delta_shape(KeyHeads::Grouped, 48, 32),
                   {{{.sequence = 3, .tokens = 40}, {.sequence = 0, .tokens = 17}, {.sequence = 2}},
                    {{.sequence = 0, .position = 17, .tokens = 33},
                     {.sequence = 1, .tokens = 2},
                     {.sequence = 2, .position = 1},
                     {.sequence = 3, .position = 40}}});
}

TEST_P(Delta, LargeKeys) {
  expect_reference(support::delta_shape(KeyHeads::Tiled, 256, 16),
                   {{{.sequence = 0, .tokens = 21}}, {{.sequence = 0, .position = 21}}});
}

/// However a text is cut into runs, its results are the same.
TEST_P(Delta, CutsDoNotMatter) {
  const DeltaShape shape = support::delta_shape(KeyHeads::Tiled, 64, 32);
  const std::uint32_t all = 150;
  const support::DeltaRows rows = support::delta_rows(shape, all, 5);
  support::DeltaLayer whole(device_, shape);
  const std::vector<StepRun> one{{.first = 0, .tokens = all, .position = 0, .sequence = 0}};
  const std::vector<float> expected = whole.run(one, rows);
  for (const std::vector<std::uint32_t>& cuts :
       {std::vector<std::uint32_t>{1, 149}, {149, 1}, {64, 64, 22}, {7, 1, 30, 1, 1, 110}, {16, 16, 17, 101}}) {
    SCOPED_TRACE(testing::PrintToString(cuts));
    support::DeltaLayer layer(device_, shape);
    std::vector<float> found;
    std::uint32_t position = 0;
    for (const std::uint32_t tokens : cuts) {
      const auto part = [&](const std::vector<float>& values, std::size_t row) {
        const auto begin = values.begin() + static_cast<std::ptrdiff_t>(position * row);
        return std::vector<float>(begin, begin + static_cast<std::ptrdiff_t>(tokens * row));
      };
      const std::vector<StepRun> run{{.first = 0, .tokens = tokens, .position = position, .sequence = 0}};
      const std::vector<float> out =
          layer.run(run, {.qkv = part(rows.qkv, shape.channels()), .gates = part(rows.gates, shape.beta.row)});
      found.insert(found.end(), out.begin(), out.end());
      position += tokens;
    }
    ASSERT_LT((support::relative_error<float, float>(found, expected)), kTolerance);
    ASSERT_LT((support::relative_error<float, float>(layer.state(0), whole.state(0))), kTolerance);
  }
}

/// What a sequence gets does not depend on whose rows are beside its own.
TEST_P(Delta, OthersDoNotMatter) {
  const DeltaShape shape = support::delta_shape(KeyHeads::Grouped, 32, 32);
  const support::DeltaRows rows = support::delta_rows(shape, 60, 8);
  support::DeltaLayer together(device_, shape), alone(device_, shape);
  const std::vector<support::PlainRun> plain{
      {.sequence = 1, .tokens = 37}, {.sequence = 0, .tokens = 22}, {.sequence = 3}};
  const std::vector<StepRun> runs = support::runs_of(plain);
  const std::vector<float> found = together.run(runs, rows);
  for (const StepRun& run : runs) {
    SCOPED_TRACE(run.sequence);
    const auto part = [&](const std::vector<float>& values, std::size_t row) {
      const auto begin = values.begin() + static_cast<std::ptrdiff_t>(run.first * row);
      return std::vector<float>(begin, begin + static_cast<std::ptrdiff_t>(run.tokens * row));
    };
    StepRun own = run;
    own.first = 0;
    const std::vector<float> out = alone.run(
        std::span(&own, 1), {.qkv = part(rows.qkv, shape.channels()), .gates = part(rows.gates, shape.beta.row)});
    ASSERT_EQ(part(found, std::size_t{shape.value_heads} * shape.value_size), out);
    ASSERT_EQ(together.state(run.sequence), alone.state(run.sequence));
  }
}

/// Gates at both ends: nothing forgotten or all of it, nothing written or all of it.
TEST_P(Delta, ExtremeGates) {
  const DeltaShape shape = support::delta_shape(KeyHeads::Tiled, 32, 16);
  for (const std::uint32_t tokens : {1U, 40U}) {
    support::DeltaLayer layer(device_, shape);
    support::DeltaRows rows = support::delta_rows(shape, tokens, 9);
    for (std::size_t i = 0; i < rows.gates.size(); ++i) rows.gates[i] = i % 3 == 0 ? 0.0F : i % 3 == 1 ? 1e4F : -1e4F;
    const std::vector<support::PlainRun> before{{.sequence = 0, .tokens = 20}},
        after{{.sequence = 0, .position = 20, .tokens = tokens}};
    const support::DeltaRows first = support::delta_rows(shape, 20, 10);
    layer.run(support::runs_of(before), first);
    std::ignore = layer.expected(support::runs_of(before), first);
    const std::vector<float> found = layer.run(support::runs_of(after), rows);
    ASSERT_LT((support::relative_error<float, double>(found, layer.expected(support::runs_of(after), rows))),
              kTolerance);
    ASSERT_LT((support::relative_error<float, double>(layer.state(0), layer.expected_state(0))), kTolerance);
  }
}

/// What goes wrong before must be seen behind, and only there.
TEST_P(Delta, ANanReachesWhatComesBehindIt) {
  const DeltaShape shape = support::delta_shape(KeyHeads::Grouped, 32, 32);
  const std::vector<support::PlainRun> plain{{.sequence = 1, .tokens = 40}, {.sequence = 2, .tokens = 5}};
  const std::vector<StepRun> runs = support::runs_of(plain);
  support::DeltaRows rows = support::delta_rows(shape, 45, 12);
  const std::size_t row = shape.channels(), out_row = std::size_t{shape.value_heads} * shape.value_size;
  for (std::size_t i = 20 * row; i < 21 * row; ++i) rows.qkv[i] = std::numeric_limits<float>::quiet_NaN();
  support::DeltaLayer layer(device_, shape);
  const std::vector<float> found = layer.run(runs, rows);
  for (std::size_t i = 0; i < found.size(); ++i) {
    ASSERT_EQ(std::isnan(found[i]), i / out_row >= 20 && i / out_row < 40) << "token " << i / out_row;
  }
}

/// An operation for single tokens has no launches for long runs, and wants no scratch.
TEST_P(Delta, OneTokenAtATime) {
  DeltaShape shape = support::delta_shape(KeyHeads::Tiled, 32, 16);
  shape.max_tokens = 1;
  EXPECT_EQ(shape.scratch_bytes(), 0U);
  expect_reference(shape, {{{.sequence = 2}}, {{.sequence = 2, .position = 1}}, {{.sequence = 1}}});
}

INSTANTIATE_TEST_SUITE_P(, Delta, testing::Values(Style::Vector, Style::Group), support::style_test_name);

}  // namespace
}  // namespace gguf_fuse::kernels
