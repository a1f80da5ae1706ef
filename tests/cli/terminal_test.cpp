// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "cli_test.hpp"
#include "support/paths.hpp"

namespace gguf_fuse::test_support {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr int kPatience = 20000;  // milliseconds: the machine may be busy

/// A conversion that has read the header and half of the weights, and waits for more.
class HalfWay {
 public:
  explicit HalfWay(RunningProgram::Kind kind)
      : program_({built("gguf-fuse"), "convert", "-", folder_.file("out.gguf")}, kind), bytes_(read_text(llama())) {
    program_.write_input(std::string_view(bytes_).substr(0, bytes_.size() / 2));
  }
  RunningProgram& program() { return program_; }
  [[nodiscard]] std::vector<std::string> files() const { return list_folder(folder_.path()); }
  void feed_rest() {
    program_.write_input(std::string_view(bytes_).substr(bytes_.size() / 2));
    program_.close_input();
  }
  /// Until the output has been begun there is nothing that a signal could leave behind.
  [[nodiscard]] bool wait_for_output_file() {
    for (int i = 0; i < kPatience / 10; ++i) {
      if (!files().empty()) return true;
      static_cast<void>(program_.output(10));
    }
    return false;
  }

 private:
  TempDir folder_;
  RunningProgram program_;
  std::string bytes_;
};

TEST(Terminal, ProgressIsDrawnAndErased) {
  HalfWay half(RunningProgram::Kind::TerminalWithPipedInput);
  EXPECT_TRUE(half.program().wait_for("\rcopy ", kPatience)) << half.program().output();
  half.feed_rest();
  const auto result = half.program().finish();
  EXPECT_EQ(result.exit_code, 0) << result.out;
  EXPECT_THAT(result.out, HasSubstr("2 x attn_qkv"));
  // what is left on the screen begins after the line was erased
  const std::string last = result.out.substr(result.out.rfind("\r\x1b[K"));
  EXPECT_THAT(last, Not(HasSubstr("copy ")));
  EXPECT_THAT(last, HasSubstr("fused "));
}

TEST(Terminal, NothingIsDrawnIntoAPipe) {
  HalfWay half(RunningProgram::Kind::Pipes);
  ASSERT_TRUE(half.wait_for_output_file());
  static_cast<void>(half.program().output(500));
  half.feed_rest();
  const auto result = half.program().finish();
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, Not(HasSubstr("\x1b")));
  EXPECT_THAT(result.out, Not(HasSubstr("\r")));
}

TEST(Signals, RemoveTheOutputAndTellWhich) {
  for (const int number : {SIGINT, SIGTERM}) {
    for (const auto kind : {RunningProgram::Kind::Pipes, RunningProgram::Kind::TerminalWithPipedInput}) {
      HalfWay half(kind);
      ASSERT_TRUE(half.wait_for_output_file());
      half.program().send_signal(number);
      half.program().send_signal(number);  // a second one changes nothing
      const auto result = half.program().finish();
      EXPECT_EQ(result.exit_code, 128 + number) << result.out;
      EXPECT_FALSE(result.signalled);
      EXPECT_THAT(result.out, HasSubstr("interrupted"));
      EXPECT_THAT(half.files(), IsEmpty());
    }
  }
}

TEST(Signals, EndAProgramThatWaitsForItsFirstByte) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"inspect", "-"}, {"hash", "-"}, {"convert", "-", "/dev/null/x"}}) {
    std::vector<std::string> whole{built("gguf-fuse")};
    whole.insert(whole.end(), arguments.begin(), arguments.end());
    RunningProgram program(whole, RunningProgram::Kind::Pipes);
    static_cast<void>(program.output(300));
    program.send_signal(SIGINT);
    EXPECT_EQ(program.finish().exit_code, 128 + SIGINT);
  }
}

TEST(Terminal, OutputToATerminalIsRefused) {
  RunningProgram program({built("gguf-fuse"), "convert", llama(), "-"}, RunningProgram::Kind::Terminal);
  const auto result = program.finish();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.out, HasSubstr("is a terminal"));
}

}  // namespace
}  // namespace gguf_fuse::test_support
