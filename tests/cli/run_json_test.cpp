// SPDX-License-Identifier: MIT
// With --json every command prints one object on one line of standard output, whatever else is asked for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "run_test.hpp"

namespace gguf_fuse::test_support {
namespace {

/// The only line of the output.
nlohmann::json only_line(const ProgramResult& result) {
  EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 1) << result.out << result.err;
  EXPECT_EQ(result.out.back(), '\n');
  return parsed(result.out);
}

TEST(RunJson, EveryAnswerIsOneObjectOnOneLine) {
  const std::vector<std::string> short_text{"-p", "a\nb", "-n", "2", "--temp", "0", "--no-warmup"};
  const std::vector<std::vector<std::string>> flags{
      {},      {"--no-perf"}, {"--profile"}, {"-v"},           {"--verbose-prompt"}, {"--no-display-prompt"},
      {"-sp"}, {"-n", "0"},   {"-n", "1"},   {"--fuse", "on"}, {"-c", "100000"}};  // a warning
  for (const auto& more : flags) {
    std::vector<std::string> arguments{"-m", llama(), "--json"};
    arguments.insert(arguments.end(), short_text.begin(), short_text.end());
    arguments.insert(arguments.end(), more.begin(), more.end());
    const auto result = gguf_run(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const auto json = only_line(result);
    EXPECT_TRUE(json.contains("text") && json.contains("timings") && !json.contains("error")) << json;
    EXPECT_EQ(json.contains("profile"), more == std::vector<std::string>{"--profile"});
  }
  EXPECT_TRUE(only_line(gguf_run({"tokenize", "-m", llama(), "a", "--json"})).contains("tokens"));
  EXPECT_TRUE(only_line(gguf_run({"tokenize", "-m", llama(), "a\nb", "--json", "--special"})).contains("tokens"));
  const auto evaluated = only_line(gguf_run({"eval", "-m", llama(), "--tokens", "1,2", "--json", "--profile"}));
  EXPECT_EQ(evaluated.at("argmax").size(), 2U);
  EXPECT_THAT(evaluated.at("profile").at(0).at("kernels").at(0).at("seconds").get<double>(), testing::Gt(0));
  EXPECT_EQ(
      only_line(gguf_run({"eval", "-m", llama(), "--tokens", "1,2", "--logits", "all", "--json"})).at("logits").size(),
      2U);
}

TEST(RunJson, DevicesAreRows) {
  const auto devices = only_line(gguf_run({"--list-devices", "--json"})).at("devices");
  ASSERT_FALSE(devices.empty());
  std::vector<bool> defaults;
  for (const auto& device : devices) {
    EXPECT_GT(device.at("memory_bytes").get<std::uint64_t>(), 0U);
    EXPECT_NE(device.at("name"), "");
    defaults.push_back(device.at("default"));
  }
  EXPECT_EQ(std::count(defaults.begin(), defaults.end(), true), 1);
}

TEST(RunJson, EveryErrorIsOneObjectOnOneLine) {
  struct Row {
    std::vector<std::string> arguments;
    int exit_code;
    std::string code;
  };
  const TempDir folder;
  write_text(folder.file("no.gguf"), "nothing like it");
  const std::vector<Row> rows{
      {{"-m", "/nonexistent/a", "-p", "a"}, 1, "OpenFailed"},
      {{"-m", folder.file("no.gguf"), "-p", "a"}, 3, "BadMagic"},
      {{"eval", "-m", "/nonexistent/a", "--tokens", "1"}, 1, "OpenFailed"},
      {{"tokenize", "-m", "/nonexistent/a", "a"}, 1, "OpenFailed"},
      {{"eval", "-m", llama(), "--tokens", "1,320"}, 2, "BadToken"},
      {{"-m", llama(), "-p", "the water of the time", "-c", "4"}, 2, "ContextFull"},
      {{"-m", llama(), "-p", "a", "-dev", "nothing-like-this"}, 2, "UnknownDevice"},
      {{"-m", llama()}, 2, "InvalidArgument"},
      {{"-m", llama(), "-p", "a", "--tmp", "0"}, 2, "InvalidArgument"},
      {{"-p", "a"}, 2, "InvalidArgument"},
      {{"eval", "-m", llama()}, 2, "InvalidArgument"},
      {{"tokenize", "-m", llama()}, 2, "InvalidArgument"},
  };
  for (const Row& row : rows) {
    auto arguments = row.arguments;
    arguments.emplace_back("--json");
    const auto result = gguf_run(arguments);
    SCOPED_TRACE(result.out + result.err);
    EXPECT_EQ(result.exit_code, row.exit_code);
    const auto error = only_line(result).at("error");
    EXPECT_EQ(error.at("code"), row.code);
    EXPECT_EQ(error.at("exit_code"), row.exit_code);
    for (const char* key : {"kind", "message"}) EXPECT_NE(error.at(key), "");
  }
}

TEST(FuseJson, AnswersAndErrorsAreOneLineEach) {
  const TempDir folder;
  const std::string fused = folder.file("fused.gguf");
  const std::vector<std::vector<std::string>> commands{{"plan", llama()},
                                                       {"convert", llama(), fused},
                                                       {"verify", fused, llama()},
                                                       {"inspect", fused},
                                                       {"inspect", "--types"},
                                                       {"hash", llama()},
                                                       {"targets"},
                                                       {"plan", "/nonexistent/a"},
                                                       {"convert", "/nonexistent"},
                                                       {"inspect", "/nonexistent"},
                                                       {"plan", "--no-such-option"}};
  for (auto arguments : commands) {
    arguments.emplace_back("--json");
    const auto result = gguf_fuse(arguments);
    SCOPED_TRACE(arguments.front() + " " + arguments.back());
    EXPECT_EQ(only_line(result).contains("error"), result.exit_code != 0);
  }
}

}  // namespace
}  // namespace gguf_fuse::test_support
