// SPDX-License-Identifier: MIT
#include "gguf_fuse/kernels/prepare.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "attention_support.hpp"
#include "support/reference/reference.hpp"

namespace gguf_fuse::kernels {
namespace {

constexpr std::uint32_t kGroup = kGroupElements;

/// Reads activations in the order that PreparedShape describes.
class Prepared {
 public:
  Prepared(const PreparedShape& shape, std::vector<std::byte> bytes) : shape_(shape), bytes_(std::move(bytes)) {}

  [[nodiscard]] int value(std::uint32_t token, std::uint32_t column) const {
    return static_cast<std::int8_t>(bytes_[record(token, column / kGroup) + slot(token) * kGroup + column % kGroup]);
  }
  /// 0: scale; 1, 2, 3: the scale times the sum of all, of the first half, of the second half.
  [[nodiscard]] float meta(std::uint32_t token, std::uint32_t group, std::uint32_t row) const {
    return at(record(token, group) + shape_.tile * kGroup + (row * shape_.tile + slot(token)) * sizeof(float));
  }
  [[nodiscard]] float number(std::uint32_t token, std::uint32_t column) const {
    return at(tile(token) + (std::size_t{column} * shape_.tile + slot(token)) * sizeof(float));
  }
  [[nodiscard]] std::uint32_t groups() const { return (shape_.columns + kGroup - 1) / kGroup; }

 private:
  [[nodiscard]] std::uint32_t slot(std::uint32_t token) const { return token % shape_.tile; }
  [[nodiscard]] std::size_t tile(std::uint32_t token) const { return token / shape_.tile * shape_.tile_bytes(); }
  [[nodiscard]] std::size_t record(std::uint32_t token, std::uint32_t group) const {
    return tile(token) + std::size_t{group} * 48 * shape_.tile;
  }
  [[nodiscard]] float at(std::size_t offset) const {
    float value = 0;
    std::memcpy(&value, bytes_.data() + offset, sizeof value);
    return value;
  }

  PreparedShape shape_;
  std::vector<std::byte> bytes_;
};

struct Rows {
  std::vector<float> x{};
  std::vector<float> weight{};
  std::vector<float> bias{};
  std::vector<float> branch{};
  std::vector<float> post_weight{};
  float scale = 1;

  Rows(std::uint32_t columns, std::uint32_t tokens, float magnitude)
      : x(support::random_floats(std::size_t{columns} * tokens, 1, magnitude)),
        weight(support::random_floats(columns, 2, 2)),
        bias(support::random_floats(columns, 3)),
        branch(support::random_floats(std::size_t{columns} * tokens, 4, magnitude)),
        post_weight(support::random_floats(columns, 5, magnitude)) {}
};

class Prepare : public testing::TestWithParam<Style> {
 protected:
  struct Outcome {
    Prepared found;
    std::vector<float> x;
    PreparedRows expected;
  };

  Outcome run(PrepareShape shape, const Rows& rows, std::uint32_t tokens) {
    shape.result.max_tokens = tokens;
    const auto or_none = [&](const std::vector<float>& floats) {
      return floats.empty() ? Buffer() : support::buffer_of(device_, floats);
    };
    const PrepareBuffers buffers{.x = support::buffer_of(device_, rows.x),
                                 .weight = or_none(rows.weight),
                                 .bias = or_none(rows.bias),
                                 .branch = support::buffer_of(device_, rows.branch),
                                 .post_weight = or_none(rows.post_weight),
                                 .scale = support::buffer_of(device_, std::vector<float>{rows.scale, 1e30F}),
                                 .out = support::value_of(device_.allocate(shape.result.bytes()))};
    support::value_of(buffers.out.fill(std::byte{0xff}).map([] { return 0; }));
    const Buffer step = support::empty_step(device_);
    auto operation = support::value_of(prepare(device_, shape, buffers, step));
    support::run_operation(device_, operation, step, tokens);
    return {Prepared(shape.result, support::content_of<std::byte>(buffers.out)), support::content_of<float>(buffers.x),
            prepare_reference(shape, {.x = rows.x,
                                      .weight = rows.weight,
                                      .bias = rows.bias,
                                      .branch = rows.branch,
                                      .post_weight = rows.post_weight,
                                      .scale = rows.scale})};
  }

  /// Every value is the nearest to what the reference has, on the scale that the group's largest value asks for.
  static void expect_quantised(const Outcome& outcome, std::uint32_t columns, std::uint32_t tokens) {
    const Prepared& found = outcome.found;
    for (std::uint32_t i = 0; i < tokens * found.groups(); ++i) {
      const std::uint32_t token = i / found.groups(), group = i % found.groups();
      double most = 0;
      int halves[2] = {0, 0};
      for (std::uint32_t c = group * kGroup; c < (group + 1) * kGroup; ++c) {
        if (c < columns) most = std::max(most, std::abs(outcome.expected.out[token * columns + c]));
        halves[c % kGroup / 16] += found.value(token, c);
      }
      const float scale = found.meta(token, group, 0);
      ASSERT_NEAR(scale, most / 127, most * 1e-7) << "token " << token << " group " << group;
      ASSERT_EQ(found.meta(token, group, 1), scale * static_cast<float>(halves[0] + halves[1]));
      ASSERT_EQ(found.meta(token, group, 2), scale * static_cast<float>(halves[0]));
      ASSERT_EQ(found.meta(token, group, 3), scale * static_cast<float>(halves[1]));
      for (std::uint32_t c = group * kGroup; c < (group + 1) * kGroup; ++c) {
        const double exact = c < columns ? outcome.expected.out[token * columns + c] : 0;
        ASSERT_NEAR(found.value(token, c) * most / 127, exact, most / 127 * 0.5001) << token << " " << c;
      }
    }
  }

  static void expect_floats(const Outcome& outcome, std::uint32_t columns, std::uint32_t tokens) {
    std::vector<float> floats;
    for (std::uint32_t i = 0; i < tokens * columns; ++i) {
      floats.push_back(outcome.found.number(i / columns, i % columns));
    }
    EXPECT_LT((support::relative_error<float, double>(floats, outcome.expected.out)), 2e-6);
    for (std::uint32_t c = columns; c < outcome.found.groups() * kGroup; ++c) {
      ASSERT_EQ(outcome.found.number(0, c), 0.0F);
    }
  }

  Device& device_ = *support::shared_device(GetParam());
};

TEST_P(Prepare, EveryNormKindTileAndBranch) {
  for (const Norm norm : {Norm::None, Norm::Rms, Norm::Layer}) {
    for (const Activations kind : {Activations::Q8, Activations::F32}) {
      for (const std::uint32_t tile : {1U, kBatchTile}) {
        for (const bool branch : {false, true}) {
          // Whole groups, several vectors and a rest of them, less than a group, no multiple of anything.
          for (const std::uint32_t columns : {32U, 160U, 608U, 20U, 77U}) {
            for (const std::uint32_t tokens : {1U, 2U, 15U, 16U, 17U, 40U}) {
              SCOPED_TRACE(testing::Message()
                           << "norm " << int(norm) << " kind " << int(kind) << " tile " << tile << " branch " << branch
                           << " columns " << columns << " tokens " << tokens);
              const PrepareShape shape{
                  .result = {.kind = kind, .columns = columns, .tile = tile}, .norm = norm, .branch = branch};
              const Outcome outcome = run(shape, Rows(columns, tokens, 3), tokens);
              if (kind == Activations::Q8) {
                expect_quantised(outcome, columns, tokens);
              } else {
                expect_floats(outcome, columns, tokens);
              }
              EXPECT_LT((support::relative_error<float, double>(outcome.x, outcome.expected.x)), 1e-6);
              if (HasFailure()) return;
            }
          }
        }
      }
    }
  }
}

/// The scale comes behind the branch and before the norm, and stays in x.
TEST_P(Prepare, ScalesWithAndWithoutABranch) {
  for (const Norm norm : {Norm::None, Norm::Rms, Norm::Layer}) {
    for (const bool branch : {false, true}) {
      for (const float scale : {-2.5F, 0.0625F, 0.0F}) {
        for (const std::uint32_t columns : {160U, 77U, 20U}) {
          for (const std::uint32_t tokens : {1U, 17U}) {
            SCOPED_TRACE(testing::Message() << "norm " << int(norm) << " branch " << branch << " scale " << scale
                                            << " columns " << columns << " tokens " << tokens);
            Rows rows(columns, tokens, 3);
            rows.scale = scale;
            const PrepareShape shape{.result = {.kind = Activations::F32, .columns = columns, .tile = 1},
                                     .norm = norm,
                                     .epsilon = 0.01F,
                                     .branch = branch,
                                     .scaled = true};
            const Outcome outcome = run(shape, rows, tokens);
            expect_floats(outcome, columns, tokens);
            EXPECT_LT((support::relative_error<float, double>(outcome.x, outcome.expected.x)), 1e-6);
            if (!branch) {
              for (std::size_t i = 0; i < rows.x.size(); ++i) ASSERT_EQ(outcome.x[i], rows.x[i] * scale) << i;
            }
          }
        }
      }
    }
  }
  Rows rows(96, 18, 3);
  rows.scale = 3;
  expect_quantised(run({.result = {.columns = 96}, .norm = Norm::Rms, .branch = true, .scaled = true}, rows, 18), 96,
                   18);
}

/// Layer norms with weights only, norms without any, an RMS norm with a bias; what is not there is not asked for.
TEST_P(Prepare, NormsWithoutWeightsOrBias) {
  for (const Norm norm : {Norm::Rms, Norm::Layer}) {
    for (const bool weight : {false, true}) {
      for (const bool bias : {false, true}) {
        for (const std::uint32_t columns : {77U, 20U}) {
          for (const std::uint32_t tokens : {1U, 17U}) {
            SCOPED_TRACE(testing::Message() << "norm " << int(norm) << " weight " << weight << " bias " << bias
                                            << " columns " << columns << " tokens " << tokens);
            Rows rows(columns, tokens, 3);
            if (!weight) rows.weight.clear();
            if (!bias) rows.bias.clear();
            const PrepareShape shape{.result = {.kind = Activations::F32, .columns = columns}, .norm = norm};
            expect_floats(run(shape, rows, tokens), columns, tokens);
          }
        }
      }
    }
  }
}

/// A branch that is added as it is, as parallel blocks have, or with a norm and a factor; and behind it no norm, as in
/// blocks whose input is the residual itself.
TEST_P(Prepare, AddsBranchesWithAndWithoutTheirNorm) {
  for (const Norm branch_norm : {Norm::None, Norm::Rms}) {
    for (const Norm norm : {Norm::None, Norm::Rms, Norm::Layer}) {
      for (const float factor : {1.0F, -0.22F}) {
        for (const bool scaled : {false, true}) {
          for (const std::uint32_t tokens : {1U, 17U}) {
            SCOPED_TRACE(testing::Message() << "branch " << int(branch_norm) << " norm " << int(norm) << " factor "
                                            << factor << " scaled " << scaled << " tokens " << tokens);
            const std::uint32_t columns = 77;
            Rows rows(columns, tokens, 3);
            rows.scale = 0.5F;
            if (branch_norm == Norm::None) rows.post_weight.clear();
            const PrepareShape shape{.result = {.kind = Activations::F32, .columns = columns},
                                     .norm = norm,
                                     .branch = true,
                                     .scaled = scaled,
                                     .branch_norm = branch_norm,
                                     .branch_factor = factor};
            const Outcome outcome = run(shape, rows, tokens);
            expect_floats(outcome, columns, tokens);
            EXPECT_LT((support::relative_error<float, double>(outcome.x, outcome.expected.x)), 1e-6);
            if (HasFailure()) return;
          }
        }
      }
    }
  }
}

TEST_P(Prepare, TokensBeyondTheLastAreZero) {
  for (const Activations kind : {Activations::Q8, Activations::F32}) {
    const PrepareShape shape{.result = {.kind = kind, .columns = 64}, .norm = Norm::Rms};
    const Outcome outcome = run(shape, Rows(64, 3, 1), 3);
    for (std::uint32_t token = 3; token < kBatchTile; ++token) {
      for (std::uint32_t c = 0; c < 64; ++c) {
        if (kind == Activations::F32) {
          ASSERT_EQ(outcome.found.number(token, c), 0.0F);
        } else {
          ASSERT_EQ(outcome.found.value(token, c), 0);
          ASSERT_EQ(outcome.found.meta(token, c / kGroup, c % 4), 0.0F);
        }
      }
    }
  }
}

TEST_P(Prepare, TiesGoToTheEvenNumber) {
  Rows rows(32, 1, 1);
  for (std::uint32_t c = 0; c < 32; ++c) rows.x[c] = static_cast<float>(c) - 15.5F;
  rows.x[0] = 127;
  const Outcome outcome = run({.result = {.columns = 32, .tile = 1}}, rows, 1);
  for (std::uint32_t c = 1; c < 32; ++c) {
    EXPECT_EQ(outcome.found.value(0, c), static_cast<int>(std::nearbyint(static_cast<double>(rows.x[c])))) << c;
  }
  EXPECT_EQ(outcome.found.meta(0, 0, 0), 1.0F);
}

TEST_P(Prepare, SmallLargeAndZeroRows) {
  for (const Norm norm : {Norm::None, Norm::Rms, Norm::Layer}) {
    for (const float magnitude : {1e-20F, 1e20F}) {
      for (const Activations kind : {Activations::Q8, Activations::F32}) {
        SCOPED_TRACE(testing::Message() << "norm " << int(norm) << " magnitude " << magnitude);
        const PrepareShape shape{.result = {.kind = kind, .columns = 96}, .norm = norm};
        Rows rows(96, 5, magnitude);
        rows.bias.clear();
        const Outcome outcome = run(shape, rows, 5);
        if (kind == Activations::Q8) {
          expect_quantised(outcome, 96, 5);
        } else {
          expect_floats(outcome, 96, 5);
        }
      }
    }
    Rows zeros(96, 2, 0);
    zeros.bias.clear();
    const Outcome zero = run({.result = {.columns = 96}, .norm = norm}, zeros, 2);
    for (std::uint32_t c = 0; c < 96; ++c) {
      ASSERT_EQ(zero.found.value(1, c), 0);
      ASSERT_EQ(zero.found.meta(1, c / kGroup, c % 4), 0.0F);
    }
  }
}

/// A NaN or an infinity anywhere must reach the logits, where it is counted.
TEST_P(Prepare, WhatIsNotFiniteIsNotHidden) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    for (const Norm norm : {Norm::None, Norm::Rms}) {
      for (std::uint32_t c = 0; c < 64; ++c) {
        Rows rows(64, 1, 1);
        rows.x[c] = bad;
        const Outcome outcome = run({.result = {.columns = 64, .tile = 1}, .norm = norm}, rows, 1);
        ASSERT_FALSE(std::isfinite(outcome.found.meta(0, c / kGroup, 0))) << bad << " " << c << " norm " << int(norm);
      }
    }
  }
}

TEST_P(Prepare, TakesTheRowsOfTheOutputs) {
  for (const std::uint32_t columns : {1U, 16U, 77U, 576U}) {
    const std::vector<float> x = support::random_floats(std::size_t{columns} * 5, 9);
    const Buffer out = support::zeros(device_, 3 * columns * sizeof(float)), step = support::empty_step(device_);
    auto operation = support::value_of(take_rows(device_, columns, support::buffer_of(device_, x), out, step));
    const std::array runs{StepRun{.tokens = 3, .position = 8}, StepRun{.first = 3, .tokens = 2, .sequence = 1}};
    const std::vector<std::uint32_t> kOutputs[] = {{4}, {2, 4}, {1, 0, 4}};
    for (const std::vector<std::uint32_t>& outputs : kOutputs) {
      support::value_of(out.fill(std::byte{0}).map([] { return 0; }));
      support::run_operation(device_, operation, step, StepTable(runs, outputs));
      std::vector<float> expected;
      for (const std::uint32_t row : outputs) {
        const auto begin = x.begin() + static_cast<std::ptrdiff_t>(row * columns);
        expected.insert(expected.end(), begin, begin + columns);
      }
      expected.resize(std::size_t{3} * columns, 0.0F);
      EXPECT_EQ(support::content_of<float>(out), expected);
    }
  }
}

TEST_P(Prepare, RefusesWhatDoesNotFit) {
  const Buffer rows = support::zeros(device_, 64 * 4), step = support::empty_step(device_);
  const auto code = [&](const PrepareShape& shape, const PrepareBuffers& buffers) {
    const auto result = prepare(device_, shape, buffers, step);
    return result ? "none" : std::string(error_name(result.error().code));
  };
  const PreparedShape one{.columns = 64, .tile = 1};
  EXPECT_EQ(code({.result = one}, {.x = rows, .out = rows}), "none");
  EXPECT_EQ(code({.result = one}, {.x = rows}), "InvalidArgument");
  EXPECT_EQ(code({.result = {.columns = 65, .tile = 1}}, {.x = rows, .out = rows}), "InvalidArgument");
  EXPECT_EQ(code({.result = {.columns = 64, .tile = 2}}, {.x = rows, .out = rows}), "InvalidArgument");
  const Buffer few = support::zeros(device_, 63 * 4);
  EXPECT_EQ(code({.result = one, .norm = Norm::Layer}, {.x = rows, .out = rows}), "none");
  EXPECT_EQ(code({.result = one, .norm = Norm::Rms}, {.x = rows, .weight = few, .out = rows}), "InvalidArgument");
  EXPECT_EQ(code({.result = one, .norm = Norm::Layer}, {.x = rows, .bias = few, .out = rows}), "InvalidArgument");
  EXPECT_EQ(code({.result = one, .scaled = true}, {.x = rows, .out = rows}), "InvalidArgument");
  EXPECT_EQ(code({.result = one, .branch = true}, {.x = rows, .branch = rows, .out = rows}), "InvalidArgument");
  PrepareShape branch{.result = one, .branch = true, .branch_norm = Norm::None};
  EXPECT_EQ(code(branch, {.x = rows, .branch = rows, .out = rows}), "none");
  EXPECT_EQ(code(branch, {.x = rows, .branch = few, .out = rows}), "InvalidArgument");
  branch.branch_norm = Norm::Layer;
  EXPECT_EQ(code(branch, {.x = rows, .branch = rows, .post_weight = rows, .out = rows}), "InvalidArgument");
}

TEST(PrepareWork, CountsWhatIsMoved) {
  const PrepareShape shape{.result = {.kind = Activations::F32, .columns = 64, .tile = 1}};
  const auto bytes = [&](bool branch, bool scaled) {
    PrepareShape changed = shape;
    changed.branch = branch;
    changed.scaled = scaled;
    return changed.work(2).bytes;
  };
  // Rows of 256 bytes: x is read and the activations are written; the branch is read, and x is written if it changes.
  EXPECT_DOUBLE_EQ(bytes(false, false), 2 * 256 * 2);
  EXPECT_DOUBLE_EQ(bytes(false, true), 2 * 256 * 3);
  EXPECT_DOUBLE_EQ(bytes(true, false), 2 * 256 * 4);
  EXPECT_DOUBLE_EQ(bytes(true, true), 2 * 256 * 4);
}

INSTANTIATE_TEST_SUITE_P(, Prepare, testing::Values(Style::Vector, Style::Group), support::style_test_name);

}  // namespace
}  // namespace gguf_fuse::kernels
