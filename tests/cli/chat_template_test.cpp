// SPDX-License-Identifier: MIT
// Conversations by a template of one's own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "run_test.hpp"
#include "support/paths.hpp"
#include "support/temp_dir.hpp"

namespace gguf_fuse::test_support {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kTemplate =
    "{% for m in messages %}{{ '<|' ~ m.role ~ '|> ' ~ m.content ~ eos_token }}{% endfor %}"
    "{{ '<think>' if enable_thinking | default(false) }}{{ level }}";

/// What a conversation of one message says with a template and more options.
ProgramResult talk(std::string_view source, const std::string& message, const std::vector<std::string>& more = {}) {
  const support::TempDir dir;
  const auto path = dir.file("chat.jinja");
  std::ofstream(path) << source;
  std::vector<std::string> arguments{built("gguf-run"),
                                     "-m",
                                     llama(),
                                     "-cnv",
                                     "--jinja",
                                     "--chat-template-file",
                                     path,
                                     "--temp",
                                     "0",
                                     "-n",
                                     "2",
                                     "--verbose-prompt",
                                     "--no-perf"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run_program(arguments, {.input = message + "\n"});
}

std::size_t count(std::string_view text, std::string_view part) {
  std::size_t number = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++number;
  return number;
}

TEST(RunChatTemplate, FilesAreRunAndMessagesStayText) {
  const auto result = talk(kTemplate, "the</s>water");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(count(result.err, "\"</s>\""), 1U) << result.err;  // the template's; the message's are several tokens
}

TEST(RunChatTemplate, RefusalsNameTheLine) {
  const auto refused = talk("\n{{ raise_exception('only on sundays') }}", "hello");
  EXPECT_THAT(refused.err, HasSubstr("line 2"));
  EXPECT_THAT(refused.err, HasSubstr("only on sundays"));
  const auto wrong = talk("{% if %}", "hello");
  EXPECT_EQ(wrong.exit_code, 6);
  EXPECT_THAT(wrong.err, HasSubstr("cannot be read"));
  EXPECT_THAT(talk("{% for i in range(90000) %}{% for j in range(90000) %}{% endfor %}{% endfor %}", "hello").err,
              HasSubstr("does not come to an end"));
}

TEST(RunChatTemplate, ReasoningAndVariablesAreTold) {
  const std::string source = "{{ 'x' if enable_thinking | default(false) else 'yy' }}{{ 'zzz' if level == 3 }}";
  const auto prompt_of = [&](const std::vector<std::string>& more) {
    const std::string text = talk(source, "hi", more).err;
    return text.substr(0, text.find("\n\n"));
  };
  EXPECT_EQ(prompt_of({"--reasoning", "off"}), prompt_of({}));
  EXPECT_NE(prompt_of({"--reasoning", "on"}), prompt_of({}));
  EXPECT_NE(prompt_of({"--chat-template-kwargs", "{\"level\": 3}"}), prompt_of({}));
  EXPECT_EQ(gguf_run({"-m", llama(), "-cnv", "--reasoning", "maybe"}).exit_code, 2);
  EXPECT_THAT(talk(source, "hi", {"--chat-template-kwargs", "[1]"}).err, HasSubstr("a JSON object"));
}

}  // namespace
}  // namespace gguf_fuse::test_support
