// SPDX-License-Identifier: MIT
// gguf-run --prompts: many prompts, each answered as it would be alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <sstream>

#include "run_test.hpp"

namespace gguf_fuse::test_support {
namespace {

using testing::HasSubstr;

/// Sums in float, so that what is computed together differs in the last bits only.
std::vector<std::string> exact(const std::vector<std::string>& more) {
  std::vector<std::string> arguments{"-m",   llama(), "--temp", "0",   "-n", "6", "--activations", "f32",
                                     "-ctk", "f32",   "-ctv",   "f32", "-s", "7", "--no-warmup"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

const std::vector<std::string>& some_prompts() {
  static const std::vector<std::string> kPrompts{"the water", "a time of\nthe \"day\"", "of the people", "in",
                                                 "and so on"};
  return kPrompts;
}

std::string lines_of(const std::vector<std::string>& prompts) {
  std::string lines;
  for (const std::string& prompt : prompts) lines += nlohmann::json(prompt).dump() + "\n";
  return lines;
}

std::vector<nlohmann::json> objects_of(const std::string& text) {
  std::vector<nlohmann::json> objects;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) objects.push_back(parsed(line));
  return objects;
}

TEST(RunPrompts, EachAnswerIsWhatItIsAlone) {
  const TempDir folder;
  write_text(folder.file("prompts.jsonl"), lines_of(some_prompts()));
  for (const char* parallel : {"1", "3", "8"}) {
    const auto result = gguf_run(exact({"--prompts", folder.file("prompts.jsonl"), "-np", parallel, "--json"}));
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const auto objects = objects_of(result.out);
    ASSERT_EQ(objects.size(), some_prompts().size());
    for (std::size_t i = 0; i < objects.size(); ++i) {
      const auto alone = run_json(exact({"-p", some_prompts()[i], "--json"}));
      EXPECT_EQ(objects[i].at("index"), i);
      for (const char* key : {"prompt", "prompt_tokens", "text", "tokens", "finish_reason", "seed", "context"}) {
        EXPECT_EQ(objects[i].at(key), alone.at(key)) << parallel << " " << i << " " << key;
      }
    }
  }
}

TEST(RunPrompts, SamplingStopsAndLimitsAreEachOnesOwn) {
  const std::vector<std::string> sampling{"--temp", "0.9", "-n", "12", "-r", "e", "--ignore-eos", "--json"};
  auto together = exact({"--prompts", "-", "-np", "5"});
  together.insert(together.end(), sampling.begin(), sampling.end());
  const auto objects = objects_of(gguf_run(together, {.input = lines_of(some_prompts())}).out);
  ASSERT_EQ(objects.size(), some_prompts().size());
  for (std::size_t i = 0; i < objects.size(); ++i) {
    auto single = exact({"-p", some_prompts()[i]});
    single.insert(single.end(), sampling.begin(), sampling.end());
    const auto alone = run_json(single);
    EXPECT_EQ(objects[i].at("tokens"), alone.at("tokens")) << i;
    EXPECT_EQ(objects[i].at("finish_reason"), alone.at("finish_reason")) << i;
  }
}

TEST(RunPrompts, TextsComeInTheOrderOfTheFileAndNothingElse) {
  const auto result = gguf_run(exact({"--prompts", "-", "-np", "2", "--no-perf"}),
                               {.input = "\"the water\"\r\n\n   \n\"of the people\""});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  std::string expected;
  for (const char* prompt : {"the water", "of the people"}) {
    expected += gguf_run(exact({"-p", prompt, "--no-perf", "--no-display-prompt"})).out;
  }
  EXPECT_EQ(result.out, expected);
  EXPECT_EQ(result.err, "");
  const auto report = gguf_run(exact({"--prompts", "-"}), {.input = "\"the water\""});
  EXPECT_THAT(report.err, HasSubstr("together"));
}

TEST(RunPrompts, ATemplateMakesEachAConversation) {
  const std::vector<std::string> chat{"-cnv", "--chat-template", "chatml", "-sys", "of the time", "--no-perf"};
  auto together = exact({"--prompts", "-", "-np", "2"});
  together.insert(together.end(), chat.begin(), chat.end());
  std::string expected;
  for (const char* prompt : {"the water", "of the people"}) {
    auto alone = exact({"-p", prompt, "-st"});
    alone.insert(alone.end(), chat.begin(), chat.end());
    expected += gguf_run(alone).out;
  }
  EXPECT_EQ(gguf_run(together, {.input = lines_of({"the water", "of the people"})}).out, expected);
}

TEST(RunPrompts, ABeginningThatAllShareIsEvaluatedOnce) {
  std::string beginning;
  for (int i = 0; i < 14; ++i) beginning += "the water of the time ";
  const std::vector<std::string> prompts{beginning + "is", beginning + "was", beginning + "in the day"};
  const auto result = gguf_run(exact({"--prompts", "-", "-np", "2", "--json"}), {.input = lines_of(prompts)});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto objects = objects_of(result.out);
  ASSERT_EQ(objects.size(), 3U);
  for (std::size_t i = 0; i < objects.size(); ++i) {
    EXPECT_LT(objects[i].at("timings").at("prompt_tokens"), 16) << objects[i];
    EXPECT_GT(objects[i].at("prompt_tokens").size(), 64U);
    EXPECT_EQ(objects[i].at("tokens"), run_json(exact({"-p", prompts[i], "--json"})).at("tokens"));
  }
}

TEST(RunPrompts, OneThatDoesNotFitIsItsOwnError) {
  const std::vector<std::string> prompts{"the water", "the water of the time of the people of the day", "in"};
  const auto arguments = exact({"--prompts", "-", "-np", "3", "-c", "10", "-n", "2", "--no-perf"});
  const auto text = gguf_run(arguments, {.input = lines_of(prompts)});
  EXPECT_EQ(text.exit_code, 2);
  EXPECT_THAT(text.err, HasSubstr("prompt 2: "));
  EXPECT_THAT(text.err, HasSubstr("the context is full"));
  EXPECT_EQ(std::count(text.out.begin(), text.out.end(), '\n'), 2) << text.out;
  auto with_json = arguments;
  with_json.emplace_back("--json");
  const auto json = gguf_run(with_json, {.input = lines_of(prompts)});
  EXPECT_EQ(json.exit_code, 2);
  const auto objects = objects_of(json.out);
  ASSERT_EQ(objects.size(), 3U);
  EXPECT_TRUE(objects[0].contains("text") && objects[2].contains("text"));
  EXPECT_EQ(objects[1].at("index"), 1);
  EXPECT_EQ(objects[1].at("error").at("code"), "ContextFull");
}

TEST(RunPrompts, MistakesAreNamed) {
  struct Row {
    std::vector<std::string> arguments;
    std::string input, message;
  };
  const Row rows[] = {
      {{"--prompts", "-"}, "\"a\"\n\nb\n", "line 3 of standard input is no JSON string"},
      {{"--prompts", "-"}, "{\"a\": 1}\n", "line 1 of standard input is no JSON string"},
      {{"--prompts", "-"}, "\"a\" \"b\"\n", "line 1 of standard input is no JSON string"},
      {{"--prompts", "-"}, "\"\xff\"\n", "line 1 of standard input is no JSON string"},
      {{"--prompts", "-"}, "\n\n", "there is no prompt in standard input"},
      {{"--prompts", "-", "-p", "a"}, "", "give --prompts, or one prompt with -p or -f"},
      {{"--prompts", "-", "--context-shift"}, "", "--context-shift goes with one text"},
      {{"--prompts", "-", "-np", "0"}, "", "-np \"0\""},
      {{"--prompts", "-", "-np", "x"}, "", "-np \"x\""},
      {{"--prompts", "-", "-sysf", "-"}, "", "standard input cannot be two things"},
  };
  for (const Row& row : rows) {
    auto arguments = row.arguments;
    arguments.insert(arguments.begin(), {"-m", llama()});
    const auto result = gguf_run(arguments, {.input = row.input});
    EXPECT_EQ(result.exit_code, 2) << row.message;
    EXPECT_THAT(result.err, HasSubstr(row.message));
    EXPECT_EQ(result.out, "");
  }
  EXPECT_EQ(gguf_run({"-m", llama(), "--prompts", "/nonexistent/a"}).exit_code, 1);
  EXPECT_THAT(gguf_run({"-m", llama(), "-p", "a", "-np", "4", "-n", "1"}).err, HasSubstr("-np has no effect"));
}

TEST(RunPrompts, CtrlCStopsAllAndKeepsWhatIsComplete) {
  using Clock = std::chrono::steady_clock;
  constexpr std::size_t kMany = 5000;
  const TempDir folder;
  write_text(folder.file("prompts.jsonl"), lines_of(std::vector<std::string>(kMany, "the water")));
  RunningProgram program({built("gguf-run"), "-m", llama(), "--prompts", folder.file("prompts.jsonl"), "-np", "4",
                          "--ignore-eos", "-n", "100", "--json"},
                         RunningProgram::Kind::Pipes);
  ASSERT_TRUE(program.wait_for("\"index\":5,", 60'000)) << program.output();
  const auto begin = Clock::now();
  program.send_signal(SIGINT);
  const auto result = program.finish();
  EXPECT_LT(std::chrono::duration<double>(Clock::now() - begin).count(), 2.0);  // on a machine that is busy
  EXPECT_EQ(result.exit_code, 128 + SIGINT);
  const auto objects = objects_of(result.out);
  EXPECT_GT(objects.size(), 5U);
  EXPECT_LT(objects.size(), kMany);
  for (const auto& object : objects) EXPECT_EQ(object.at("finish_reason"), "token_limit");
}

}  // namespace
}  // namespace gguf_fuse::test_support
