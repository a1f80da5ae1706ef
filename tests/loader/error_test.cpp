// SPDX-License-Identifier: MIT
#include "gguf_fuse/loader/error.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>

namespace gguf_fuse::loader {
namespace {

TEST(Error, MessageHasWhatIsKnown) {
  Error error{.code = ErrorCode::BadAlignment};
  EXPECT_EQ(error.message(),
            "invalid general.alignment; write the file again with an alignment that is a power of two");
  error.path = "model.gguf";
  error.subject = "general.alignment";
  error.offset = 96;
  error.hint = "do this";
  EXPECT_EQ(error.message(), "model.gguf: \"general.alignment\": invalid general.alignment (at byte 96); do this");
  error.expected = "a power of two";
  EXPECT_EQ(
      error.message(),
      "model.gguf: \"general.alignment\": invalid general.alignment (at byte 96): expected a power of two; do this");
  error.actual = "33";
  EXPECT_EQ(error.message(),
            "model.gguf: \"general.alignment\": invalid general.alignment (at byte 96): expected a power of two, found "
            "33; do this");
  error.expected.clear();
  EXPECT_EQ(error.message(), "model.gguf: \"general.alignment\": invalid general.alignment (at byte 96): 33; do this");
}

TEST(Error, NoFieldReachesATerminalRaw) {
  const std::string evil = "a\x1b[2J\r\n\x9b\x7f\xff\u202e\u2066";
  const Error error{.code = ErrorCode::BadKey,
                    .path = evil,
                    .subject = evil,
                    .offset = 1,
                    .expected = evil,
                    .actual = evil,
                    .hint = evil};
  EXPECT_EQ(escape_text(error.message()), error.message());
  EXPECT_EQ(error.message().find('\x1b'), std::string::npos);
}

TEST(Error, EveryCodeHasANameAHintAndATextOfItsOwn) {
  std::set<std::string_view> names;
  std::set<std::string> messages;
  for (std::size_t i = 0; i < error_code_count(); ++i) {
    const auto code = static_cast<ErrorCode>(i);
    EXPECT_TRUE(names.insert(error_name(code)).second) << error_name(code);
    EXPECT_FALSE(error_hint(code).empty()) << error_name(code);
    const std::string message = Error{.code = code}.message();
    EXPECT_TRUE(messages.insert(message).second) << message;
    EXPECT_EQ(escape_text(message), message);
  }
}

TEST(Error, SystemErrorsWithACodeOfTheirOwn) {
  EXPECT_EQ(system_error(ErrorCode::WriteFailed, "x", ENOSPC).code, ErrorCode::NoSpace);
  EXPECT_EQ(system_error(ErrorCode::SyncFailed, "x", EDQUOT).code, ErrorCode::NoSpace);
  EXPECT_EQ(system_error(ErrorCode::WriteFailed, "x", EFBIG).code, ErrorCode::FileTooLarge);
  const Error error = system_error(ErrorCode::ReadFailed, "x", EIO, 7);
  EXPECT_EQ(error.code, ErrorCode::ReadFailed);
  EXPECT_EQ(
      error.message(),
      "x: could not be read (at byte 7): Input/output error; the disk, or the connection to it, fails; the system's "
      "log (dmesg) says more");
  EXPECT_EQ(system_error(ErrorCode::ReadFailed, "x", EPERM).message(),
            "x: could not be read: Operation not permitted; check the disk, or copy the file again");
}

TEST(EscapeText, LeavesTextAlone) {
  for (const std::string_view text : {"", "plain", "tokens.\u4f60\u597d", "\U0001F980", "\u00e9", "\\x41", "~ \"'"}) {
    EXPECT_EQ(escape_text(text), text);
  }
}

TEST(EscapeText, ShowsWhatTerminalsWouldObey) {
  EXPECT_EQ(escape_text(std::string_view("\0\x1b\n\x7f", 4)), "\\x00\\x1b\\x0a\\x7f");
  EXPECT_EQ(escape_text("\u009b31m"), "\\xc2\\x9b31m");
  EXPECT_EQ(escape_text("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(escape_text("\xed\xa0\x80"), "\\xed\\xa0\\x80");
  // Text that runs backwards, or another line where only one may be.
  EXPECT_EQ(escape_text("a\u202eb"), "a\\xe2\\x80\\xaeb");
  EXPECT_EQ(escape_text("\u2028\u2066\u2069\u200f"), "\\xe2\\x80\\xa8\\xe2\\x81\\xa6\\xe2\\x81\\xa9\\xe2\\x80\\x8f");
}

}  // namespace
}  // namespace gguf_fuse::loader
