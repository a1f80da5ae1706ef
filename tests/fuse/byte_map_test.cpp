// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <random>

#include "gguf_fuse/fuse/byte_map.hpp"

namespace gguf_fuse::fuse {
namespace {

using TensorRun = Run;  // testing::Test has a Run of its own

// What runs mean, byte by byte: the source offset of each byte of the tensor.
std::vector<std::uint64_t> bytes_of(const ByteMap& bytes, std::uint64_t size) {
  std::vector<std::uint64_t> map(size, ~std::uint64_t{0});
  for (const Run& run : bytes.runs()) {
    for (std::uint64_t i = 0; i < run.count; ++i) {
      for (std::uint64_t b = 0; b < run.bytes; ++b) {
        map.at(run.offset + i * run.stride + b) = run.source_offset + i * run.source_stride + b;
      }
    }
  }
  return map;
}

TEST(ByteMap, NeighboursJoin) {
  ByteMap map;
  map.add({0, 100, 0, 10});
  map.add({0, 110, 10, 5});
  const auto& runs = map.runs();
  ASSERT_EQ(runs.size(), 1U);
  EXPECT_EQ(runs[0].bytes, 15U);
  EXPECT_EQ(runs[0].count, 1U);
}

TEST(ByteMap, EqualStridesAreCounted) {
  ByteMap map;
  for (std::uint64_t i = 0; i < 64; ++i) map.add({0, 1000 + 20 * i, 10 * i, 10});
  const auto& runs = map.runs();
  ASSERT_EQ(runs.size(), 1U);
  EXPECT_EQ(runs[0], (TensorRun{.source = 0,
                                .source_offset = 1000,
                                .source_stride = 20,
                                .offset = 0,
                                .stride = 10,
                                .bytes = 10,
                                .count = 64}));
}

TEST(ByteMap, OtherFilesAndOtherStridesStayApart) {
  ByteMap map;
  map.add({0, 0, 0, 10});
  map.add({1, 10, 10, 10});
  map.add({1, 40, 20, 10});
  map.add({1, 50, 30, 10});
  EXPECT_EQ(map.runs().size(), 3U);
}

// A piece that grows after it was counted is one of them no more, and one that grew to their size becomes one.
TEST(ByteMap, PiecesAreCountedWhenTheyAreWhole) {
  ByteMap map;
  for (const std::uint64_t offset : {0U, 300U, 600U}) map.add({0, offset / 3, offset, 100});
  ASSERT_EQ(map.runs().size(), 1U);
  map.add({0, 300, 700, 50});
  ASSERT_EQ(map.runs().size(), 2U);
  EXPECT_EQ(map.runs()[0].count, 2U);
  EXPECT_EQ(map.runs()[1], (TensorRun{.source_offset = 200, .offset = 600, .bytes = 150}));
  map.add({0, 350, 900, 70});
  map.add({0, 420, 970, 80});
  ASSERT_EQ(map.runs().size(), 2U);
  EXPECT_EQ(map.runs()[1].count, 2U);
  EXPECT_EQ(map.runs()[1].stride, 300U);
}

TEST(ByteMap, EmptyPiecesVanish) {
  ByteMap map;
  map.add({0, 0, 0, 0});
  EXPECT_TRUE(map.runs().empty());
}

TEST(ByteMap, PiecesInWindowsOfEveryPlace) {
  const TensorRun run{
      .source = 0, .source_offset = 1000, .source_stride = 50, .offset = 7, .stride = 13, .bytes = 9, .count = 6};
  for (std::uint64_t begin = 0; begin < 100; ++begin) {
    for (std::uint64_t end = begin; end < 100; ++end) {
      std::uint64_t covered = 0;
      for_each_piece_in_output(run, begin, end, [&](const Piece& piece) {
        EXPECT_GE(piece.offset, begin);
        EXPECT_LE(piece.offset + piece.bytes, end);
        covered += piece.bytes;
      });
      std::uint64_t expected = 0;
      for (std::uint64_t i = 0; i < run.count; ++i) {
        for (std::uint64_t b = 0; b < run.bytes; ++b) {
          const std::uint64_t at = run.offset + i * run.stride + b;
          expected += at >= begin && at < end;
        }
      }
      ASSERT_EQ(covered, expected) << begin << ".." << end;
    }
  }
}

// Random tensors made of interleaved runs; any slice of them must be what the bytes say.
TEST(ByteMap, SliceEqualsBruteForce) {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    const std::uint64_t parts = 1 + random() % 3;
    const std::uint64_t count = 1 + random() % 5;
    const std::uint64_t bytes = 1 + random() % 8;
    std::vector<TensorRun> runs;
    for (std::uint64_t p = 0; p < parts; ++p) {
      const std::uint64_t source_stride = bytes + random() % 3;
      runs.push_back({.source = 0,
                      .source_offset = 1000 * (p + 1),
                      .source_stride = source_stride,
                      .offset = p * bytes,
                      .stride = parts * bytes,
                      .bytes = bytes,
                      .count = count});
    }
    const std::uint64_t size = parts * count * bytes;
    const auto whole = bytes_of(runs, size);
    const std::uint64_t begin = random() % size;
    const std::uint64_t length = random() % (size - begin + 1);
    ByteMap map;
    map.add(TensorRun{.source_offset = begin, .bytes = length}, ByteMap(runs));
    const auto slice = bytes_of(map, length);
    for (std::uint64_t i = 0; i < length; ++i)
      ASSERT_EQ(slice[i], whole[begin + i]) << "round " << round << " byte " << i;
  }
}

}  // namespace
}  // namespace gguf_fuse::fuse
