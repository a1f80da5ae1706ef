// SPDX-License-Identifier: MIT
#include "gguf_fuse/runtime/utf8_stream.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "support/random.hpp"

namespace gguf_fuse::runtime {
namespace {

struct Row {
  std::string bytes;
  std::string expected;  // what Python's bytes.decode("utf-8", "replace") makes of it
};

const std::vector<Row> kRows = {
    {"", ""},
    {"aé漢😀", "aé漢😀"},
    {"\xff", "\ufffd"},
    {"\xc3(", "\ufffd("},
    {"\xc0\x80", "\ufffd\ufffd"},  // overlong
    {"\xe2\x82"
     "a",
     "\ufffd"
     "a"},                   // cut short
    {"\xe2\x82", "\ufffd"},  // cut short by the end
    {"\xf0\x9f\x98", "\ufffd"},
    {"\xe0\x80\x80", "\ufffd\ufffd\ufffd"},
    {"\xed\xa0\x80", "\ufffd\ufffd\ufffd"},            // a surrogate
    {"\xf4\x90\x80\x80", "\ufffd\ufffd\ufffd\ufffd"},  // beyond U+10FFFF
    {"\xf0\x9f\xf0\x9f\x98\x80", "\ufffd😀"},
    {"\x80\xbf", "\ufffd\ufffd"},
};

std::string stream(const std::string& bytes, std::size_t piece) {
  Utf8Stream stream;
  std::string text;
  for (std::size_t at = 0; at < bytes.size(); at += piece) text += stream.push(bytes.substr(at, piece));
  return text + stream.flush();
}

TEST(Utf8Stream, ReplacesAsPythonDoesHoweverThePiecesFall) {
  for (const Row& row : kRows) {
    for (std::size_t piece = 1; piece < 6; ++piece) EXPECT_EQ(stream(row.bytes, piece), row.expected) << row.bytes;
  }
}

TEST(Utf8Stream, HoldsACharacterUntilItIsWhole) {
  Utf8Stream stream;
  EXPECT_EQ(stream.push("a\xf0\x9f"), "a");
  EXPECT_EQ(stream.push("\x98"), "");
  EXPECT_EQ(stream.push("\x80"
                        "b"),
            "😀b");
  EXPECT_EQ(stream.flush(), "");
  EXPECT_EQ(stream.push("\xe6\xbc"), "");
  EXPECT_EQ(stream.flush(), "\ufffd");
  EXPECT_EQ(stream.push("\xa2"), "\ufffd");  // nothing is left of the text before
}

TEST(Utf8Stream, PiecesMakeNoDifferenceToRandomBytes) {
  support::Random random(7);
  const std::string some = "a\x80\xbf\xc2\xe2\xed\xf0\xf4\x9f\x90";
  for (int round = 0; round < 500; ++round) {
    std::string bytes;
    for (std::uint64_t i = random.below(24); i > 0; --i) bytes += some[random.below(some.size())];
    const std::string whole = stream(bytes, bytes.size() + 1);
    for (std::size_t piece = 1; piece < 4; ++piece) ASSERT_EQ(stream(bytes, piece), whole);
  }
}

}  // namespace
}  // namespace gguf_fuse::runtime
