// SPDX-License-Identifier: MIT
// Contexts that are full.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "run_test.hpp"

namespace gguf_fuse::test_support {
namespace {

using testing::HasSubstr;
using testing::Not;

std::vector<std::string> chat(const std::vector<std::string>& more) {
  std::vector<std::string> arguments{"-m", llama(), "-cnv", "--chat-template", "chatml", "--temp", "0", "--no-perf"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

std::string long_message() {
  std::string text;
  while (text.size() < 4000) text += "the time ";
  return text + "\n";
}

TEST(Context, AMessageThatDoesNotFitIsRefusedAndTheConversationGoesOn) {
  const auto plain = gguf_run(chat({"-c", "200", "-n", "4"}), {.input = "the water\nthe time\n"});
  const auto result =
      gguf_run(chat({"-c", "200", "-n", "4"}), {.input = "the water\n" + long_message() + "the time\n"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, plain.out);
  EXPECT_THAT(result.err, HasSubstr("the message was not sent: it takes "));
  EXPECT_THAT(result.err, HasSubstr("the context has 200; a larger -c takes more"));
}

TEST(Context, AFullConversationSaysWhatHelps) {
  std::string input;
  for (int i = 0; i < 6; ++i) input += "the water of the time\n";
  const auto result = gguf_run(chat({"-c", "120", "-n", "4"}), {.input = input + "/clear\nthe water of the time\n"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("of a context of 120; /clear begins again, --context-shift drops"));
  const std::string first = result.out.substr(0, result.out.find('\n') + 1);
  EXPECT_THAT(result.out, testing::EndsWith(first));  // answered as at the beginning
}

TEST(Context, ShiftedConversationsDropTheirOldestExchanges) {
  std::string input;
  for (int i = 0; i < 6; ++i) input += "the water of the time\n";
  const auto result = gguf_run(chat({"-c", "120", "-n", "4", "--context-shift"}), {.input = input});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 6) << result.out;
  EXPECT_THAT(result.err, HasSubstr("the context was full: the oldest "));
  EXPECT_THAT(result.err, Not(HasSubstr("not sent")));
  // a message that can never fit drops nothing
  const auto refused = gguf_run(chat({"-c", "200", "-n", "4", "--context-shift"}),
                                {.input = "the water\n" + long_message() + "the time\n"});
  EXPECT_EQ(refused.out, gguf_run(chat({"-c", "200", "-n", "4"}), {.input = "the water\nthe time\n"}).out);
  EXPECT_THAT(refused.err, HasSubstr("not sent"));
  EXPECT_THAT(refused.err, Not(HasSubstr("dropped")));
}

TEST(Context, AnswersGoOnWhereExchangesCanBeDropped) {
  const std::string input = "the water of the time\nthe time\n";
  const auto plain = gguf_run(chat({"-c", "120", "-n", "60", "--ignore-eos"}), {.input = input});
  EXPECT_THAT(plain.err, HasSubstr("the context is full"));
  const auto shifted = gguf_run(chat({"-c", "120", "-n", "60", "--ignore-eos", "--context-shift"}), {.input = input});
  EXPECT_EQ(shifted.exit_code, 0) << shifted.err;
  EXPECT_THAT(shifted.err, HasSubstr("the context was full: the oldest exchange was dropped, 0 of 1 kept"));
  EXPECT_GT(shifted.out.size(), plain.out.size());
}

TEST(Context, ATooLongPromptIsNotEchoed) {
  const auto result = gguf_run({"-m", llama(), "-p", long_message(), "-c", "100", "--no-perf"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("at most 100 tokens"));
  EXPECT_LT(result.err.size(), 600U) << result.err;
}

/// Behind the shift the text is what the kept tokens alone are continued with.
TEST(Context, ShiftedTextsKeepTheirBeginningAndTheirNewerHalf) {
  for (const std::size_t keep : {0U, 3U, 100U}) {
    constexpr std::size_t kContext = 32;
    const auto json = run_json({"-m", llama(), "-p", "the water", "-c", "32", "-n", "70", "--ignore-eos", "--temp", "0",
                                "--context-shift", "--keep", std::to_string(keep), "--json", "--no-perf"});
    std::vector<std::int32_t> sequence = json.at("prompt_tokens");
    const std::size_t prompt = sequence.size();
    const std::vector<std::int32_t> generated = json.at("tokens");
    ASSERT_EQ(generated.size(), 70U);
    sequence.insert(sequence.end(), generated.begin(), generated.end());
    // BOS stays too
    const std::size_t kept = std::min(keep + 1, prompt), dropped = (kContext - kept) / 2;
    std::vector<std::int32_t> held(sequence.begin(), sequence.begin() + static_cast<std::ptrdiff_t>(kept));
    held.insert(held.end(), sequence.begin() + static_cast<std::ptrdiff_t>(kept + dropped),
                sequence.begin() + kContext + 1);
    const auto evaluated = run_json({"eval", "-m", llama(), "--tokens", joined(held)});
    EXPECT_EQ(evaluated.at("argmax").back(), sequence[kContext + 1]) << keep;
  }
  const auto told = gguf_run({"-m", llama(), "-p", "the water", "-c", "32", "-n", "70", "--ignore-eos",
                              "--context-shift", "--no-perf", "--no-display-prompt"});
  EXPECT_EQ(told.exit_code, 0);
  EXPECT_THAT(told.err, HasSubstr("the context was full: "));
  EXPECT_THAT(told.err, HasSubstr(" tokens behind the first 1 dropped, in 3 shifts"));
}

TEST(Context, OneTurnIsOneAnswer) {
  const auto one = gguf_run(chat({"-n", "4"}), {.input = "the water\n"});
  EXPECT_EQ(gguf_run(chat({"-n", "4", "-st", "-p", "the water"}), {.input = "the time\n"}).out, one.out);
  EXPECT_EQ(gguf_run(chat({"-n", "4", "-st"}), {.input = "the water\nthe time\n"}).out, one.out);
}

TEST(Context, TextsMayComeFromFiles) {
  const TempDir folder;
  write_text(folder.file("system"), "of the time\n");
  write_text(folder.file("message"), "the water\n");
  const auto expected = gguf_run(chat({"-n", "4", "-sys", "of the time"}), {.input = "the water\n"});
  EXPECT_EQ(gguf_run(chat({"-n", "4", "-sysf", folder.file("system")}), {.input = "the water\n"}).out, expected.out);
  const auto whole = run_json({"-m", llama(), "-bf", folder.file("message"), "-n", "1", "--json"});
  EXPECT_EQ(whole.at("prompt"), "the water\n");
  EXPECT_EQ(gguf_run({"-m", llama(), "-bf", folder.file("none")}).exit_code, 1);
}

}  // namespace
}  // namespace gguf_fuse::test_support
