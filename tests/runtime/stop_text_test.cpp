// SPDX-License-Identifier: MIT
#include "text/stop_text.hpp"
#include "gguf_fuse/runtime/namespace.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace gguf_fuse::runtime {
namespace {

using testing::ElementsAre;

/// What each push released, and flush() at the end.
std::vector<std::string> released(StopText stop, const std::vector<std::string>& pieces) {
  std::vector<std::string> out;
  for (const std::string& piece : pieces) out.push_back(stop.push(piece));
  out.push_back(stop.flush());
  return out;
}

TEST(StopText, EndsBeforeTheTextAndDropsTheRest) {
  EXPECT_THAT(released(StopText({"END"}), {"a END b", "c"}), ElementsAre("a ", "", ""));
  EXPECT_THAT(released(StopText({"END"}), {"END"}), ElementsAre("", ""));
}

TEST(StopText, IsFoundAcrossPieces) {
  EXPECT_THAT(released(StopText({"END"}), {"aE", "N", "Db", "c"}), ElementsAre("a", "", "", "", ""));
}

TEST(StopText, BeginningsAreHeldBackAndReleased) {
  EXPECT_THAT(released(StopText({"END"}), {"aE", "N", "T", "E"}), ElementsAre("a", "", "ENT", "", "E"));
  // what is held may hide the beginning of another occurrence
  EXPECT_THAT(released(StopText({"aab"}), {"a", "a", "a", "b", "x"}), ElementsAre("", "", "a", "", "", ""));
}

TEST(StopText, TheFirstOfSeveralCounts) {
  EXPECT_THAT(released(StopText({"yz", "x"}), {"ayzx"}), ElementsAre("a", ""));
  EXPECT_THAT(released(StopText({"x", "yz"}), {"ay", "zx"}), ElementsAre("a", "", ""));
  // the shorter one is complete before the longer one can be
  EXPECT_THAT(released(StopText({"abcd", "bc"}), {"ab", "c", "d"}), ElementsAre("", "a", "", ""));
}

TEST(StopText, NothingStopsWithoutTexts) {
  EXPECT_THAT(released(StopText({}), {"a", "b"}), ElementsAre("a", "b", ""));
  EXPECT_THAT(released(StopText({""}), {"a", "b"}), ElementsAre("a", "b", ""));
}

TEST(StopText, ReleasesTheSameForAnyBordersOfPieces) {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (int i = 0; i < 12; ++i) text += static_cast<char>('a' + random() % 3);
    const std::vector<std::string> stops{"abc", "bb", "cab"};
    std::size_t end = text.size();
    for (const std::string& stop : stops) end = std::min(end, text.find(stop));
    StopText stop(stops);
    std::string out;
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t size = std::min<std::size_t>(1 + random() % 4, text.size() - begin);
      out += stop.push(text.substr(begin, size));
      EXPECT_EQ(text.compare(0, out.size(), out), 0);
      EXPECT_LE(out.size(), end);  // nothing of a stop text was ever shown
      begin += size;
    }
    out += stop.flush();
    EXPECT_EQ(out, text.substr(0, end)) << text;
    EXPECT_EQ(stop.found(), end < text.size()) << text;
  }
}

}  // namespace
}  // namespace gguf_fuse::runtime
