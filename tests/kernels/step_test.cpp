// SPDX-License-Identifier: MIT
#include "gguf_fuse/kernels/step.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace gguf_fuse::kernels {
namespace {

using testing::ElementsAre;

struct Read {
  StepTable::Header header{};
  std::vector<std::uint32_t> words{};

  explicit Read(const StepTable& table) : words(table.bytes().size() / sizeof(std::uint32_t)) {
    std::memcpy(words.data(), table.bytes().data(), table.bytes().size());
    std::array<std::uint32_t, sizeof(header) / sizeof(std::uint32_t)> first{};
    std::copy_n(words.begin(), first.size(), first.begin());
    header = std::bit_cast<StepTable::Header>(first);
  }
  [[nodiscard]] std::vector<std::uint32_t> list(std::uint32_t at, std::uint32_t count) const {
    return {words.begin() + at, words.begin() + at + count};
  }
};

/// 18 tokens of sequence 2 and 2 of sequence 0, then one each of sequences 5 and 1.
constexpr std::array kRuns{StepRun{.first = 0, .tokens = 18, .position = 30, .sequence = 2},
                           StepRun{.first = 18, .tokens = 2, .position = 0, .sequence = 0},
                           StepRun{.first = 20, .tokens = 1, .position = 99, .sequence = 5},
                           StepRun{.first = 21, .tokens = 1, .position = 7, .sequence = 1}};

TEST(StepTable, SaysWhichRowsAreWhichTokens) {
  const StepTable table(kRuns, std::array{17U, 20U, 21U});
  const Read read(table);
  EXPECT_EQ(read.words[0], 22U) << "what a routed step has, too";
  EXPECT_EQ(read.header.tokens, 22U);
  EXPECT_EQ(read.header.runs, 4U);
  EXPECT_EQ(read.header.long_runs, 2U);
  EXPECT_EQ(read.header.outputs, 3U);
  const auto tokens = read.list(read.header.tokens_at, 2 * 22);
  for (std::uint32_t i = 0; i < 18; ++i) {
    EXPECT_EQ(tokens[2 * i], 30 + i);
    EXPECT_EQ(tokens[2 * i + 1], 2U);
  }
  EXPECT_THAT(read.list(read.header.tokens_at + 2 * 18, 8), ElementsAre(0, 0, 1, 0, 99, 5, 7, 1));
  EXPECT_THAT(read.list(read.header.runs_at, 16), ElementsAre(0, 18, 30, 2, 18, 2, 0, 0, 20, 1, 99, 5, 21, 1, 7, 1));
  EXPECT_THAT(read.list(read.header.outputs_at, 3), ElementsAre(17, 20, 21));
}

TEST(StepTable, CutsLongRunsIntoTiles) {
  const Read read(StepTable(kRuns, {}));
  EXPECT_EQ(read.header.tiles, 3U);
  EXPECT_THAT(read.list(read.header.tiles_at, 12), ElementsAre(0, 16, 30, 2, 16, 2, 46, 2, 18, 2, 0, 0));
}

TEST(StepTable, SaysWhatGridsFollowFrom) {
  const StepSize size = StepTable(kRuns, std::array{21U}).size();
  EXPECT_EQ(size.tokens, 22U);
  EXPECT_EQ(size.runs, 4U);
  EXPECT_EQ(size.long_runs, 2U);
  EXPECT_EQ(size.tiles, 3U);
  EXPECT_EQ(size.outputs, 1U);
  EXPECT_EQ(size.reach, 100U) << "of short runs alone";
}

TEST(StepTable, OfOneSequence) {
  const StepTable one(1, 9), many(33, 9);
  EXPECT_EQ(one.size().reach, 10U);
  EXPECT_EQ(one.size().long_runs, 0U);
  EXPECT_EQ(many.size().tiles, 3U);
  EXPECT_EQ(many.size().reach, 0U);
  const Read read(many);
  EXPECT_THAT(read.list(read.header.outputs_at, 1), ElementsAre(32));
  EXPECT_THAT(read.list(read.header.tokens_at + 2 * 32, 2), ElementsAre(41, 0));
}

TEST(StepTable, FitsIntoTheMostBytes) {
  for (const std::uint32_t sequences : {1U, 3U, 16U}) {
    for (const std::uint32_t each : {1U, 2U, 15U, 16U, 17U, 33U}) {
      std::vector<StepRun> runs;
      for (std::uint32_t i = 0; i < sequences; ++i) {
        runs.push_back({.first = i * each, .tokens = each, .position = 5, .sequence = i});
      }
      std::vector<std::uint32_t> outputs(std::size_t{sequences} * each);
      EXPECT_LE(StepTable(runs, outputs).bytes().size(), StepTable::most_bytes(sequences * each, sequences));
    }
  }
}

}  // namespace
}  // namespace gguf_fuse::kernels
