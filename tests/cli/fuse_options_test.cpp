// SPDX-License-Identifier: MIT
// Fusing while loading, and where experts go: what the options change, and that they never change what is said.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "run_test.hpp"
#include "support/paths.hpp"

namespace gguf_fuse::test_support {
namespace {

using testing::HasSubstr;
using testing::Not;

// Two layers, each with four experts, a shared one and separate Q, K and V.
std::string mixture() { return model("qwen2moe-q5.gguf"); }

std::vector<std::string> generation(const std::string& path, const std::vector<std::string>& more) {
  std::vector<std::string> arguments{"-m", path, "-p", "the water", "-n", "6", "--temp", "0", "--no-warmup"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

nlohmann::json run(std::vector<std::string> more, const RunOptions& options = {}) {
  more.emplace_back("--json");
  return run_json(generation(mixture(), more), options);
}

struct Fused {
  std::vector<std::string> options;
  std::vector<int> counts;  // layers of experts, dense and shared parts, Q+K+V; and all that happened while loading
};

TEST(FuseOptions, SayWhatIsMergedAndChangeNoWord) {
  const auto expected = run({"--fuse", "off"}).at("tokens");
  const Fused rows[] = {{{}, {2, 2, 2, 6}},
                        {{"--fuse", "auto"}, {2, 2, 2, 6}},
                        {{"--fuse", "on"}, {2, 2, 2, 6}},
                        {{"--fuse", "off"}, {0, 0, 0, 0}},
                        {{"--fuse", "off", "-muge"}, {2, 2, 0, 4}},
                        {{"-mqkv", "--fuse", "off"}, {0, 0, 2, 2}},
                        {{"--fuse", "off", "-muge", "-mqkv"}, {2, 2, 2, 6}},
                        {{"--no-merge-qkv"}, {2, 2, 0, 4}},
                        {{"--fuse", "on", "--no-merge-up-gate-experts"}, {0, 0, 2, 2}},
                        {{"-mqkv", "--no-merge-qkv"}, {2, 2, 0, 4}}};  // the last one counts
  for (const Fused& row : rows) {
    const auto json = run(row.options);
    const auto& fused = json.at("timings").at("fused");
    const std::vector<int> counts{fused.at("experts"), fused.at("dense"), fused.at("qkv"), fused.at("while_loading")};
    EXPECT_EQ(counts, row.counts) << testing::PrintToString(row.options);
    EXPECT_EQ(json.at("tokens"), expected) << testing::PrintToString(row.options);
  }
}

TEST(FuseOptions, TheReportNamesWhatIsMerged) {
  const auto report = [](const std::string& path, const std::vector<std::string>& more) {
    return gguf_run(generation(path, more)).err;
  };
  EXPECT_THAT(report(mixture(), {}),
              HasSubstr("gate+up of 2 layers of experts, gate+up of 2 layers, Q+K+V of 2 layers (while loading)\n"));
  EXPECT_THAT(report(mixture(), {"--fuse", "off", "-mqkv"}),
              HasSubstr("fused       Q+K+V of 2 layers (while loading)\n"));
  EXPECT_THAT(report(mixture(), {"--fuse", "off"}), Not(HasSubstr("fused")));
  // one that came fused
  const std::string fused = model("granite_swa-merged-q4_1.fused.gguf");
  EXPECT_THAT(report(fused, {"--fuse", "off"}), HasSubstr("Q+K+V of 2 layers (in the file)\n"));
  EXPECT_THAT(report(model("llama-q8_0.fused.gguf"), {}),
              HasSubstr("gate+up of 2 layers, Q+K+V of 2 layers (some while loading)\n"));
}

TEST(FuseOptions, OnTellsWhatStaysApart) {
  const auto warnings = [](const std::string& name, const std::vector<std::string>& more) {
    auto arguments = generation(model(name), more);
    arguments.emplace_back("--no-perf");
    return gguf_run(arguments).err;
  };
  // a layer that uses K as V; Q, K and V of two types
  EXPECT_EQ(warnings("gemma4-moe-q8_0.gguf", {"--fuse", "on"}),
            "warning: Q+K+V stays apart in 1 of 3 layers: has attn_q, attn_k but no attn_v\n");
  EXPECT_THAT(warnings("llama-q4_k_m.gguf", {"--fuse=on"}),
              HasSubstr("Q+K+V stays apart in 1 of 2 layers: types differ: attn_q Q4_K, attn_k Q4_K, attn_v Q6_K\n"));
  EXPECT_EQ(warnings("gemma4-moe-q8_0.gguf", {"--fuse", "on", "--no-merge-qkv"}), "");  // not asked for
  EXPECT_EQ(warnings("gemma4-moe-q8_0.gguf", {}), "");
  EXPECT_EQ(warnings("llama-q8_0.fused.gguf", {"--fuse", "on"}), "");  // what came fused is fused
  const auto eval = gguf_run({"eval", "-m", model("llama-q4_k_m.gguf"), "--tokens", "1", "--fuse", "on"});
  EXPECT_THAT(eval.err, HasSubstr("stays apart"));
}

TEST(LoadOptions, ModesAreReportedAndReadTheSame) {
  const auto expected = run({"-lm", "none"}).at("tokens");
  const std::pair<std::vector<std::string>, std::string> rows[] = {
      {{"-lm", "none"}, "none"},        {{"-lm", "mmap"}, "mmap"},
      {{"--load-mode", "dio"}, "dio"},  {{"--mmap"}, "mmap"},
      {{"--no-mmap"}, "none"},          {{"-lm", "dio", "--no-mmap"}, "none"},
      {{"--mmap", "-lm", "dio"}, "dio"}};
  for (const auto& [options, mode] : rows) {
    const auto json = run(options);
    EXPECT_EQ(json.at("timings").at("load").at("load_mode"), mode) << testing::PrintToString(options);
    EXPECT_EQ(json.at("tokens"), expected) << testing::PrintToString(options);
  }
  const std::vector<std::string> modes{"none", "mmap", "dio"};
  EXPECT_THAT(modes, testing::Contains(run({"-lm", "auto"}).at("timings").at("load").at("load_mode")));
  const auto mode_with = [](const std::string& variable) {
    return run({}, {.input = {}, .environment = {variable}}).at("timings").at("load").at("load_mode");
  };
  EXPECT_EQ(mode_with("LLAMA_ARG_LOAD_MODE=dio"), "dio");
  EXPECT_EQ(mode_with("LLAMA_ARG_MMAP=1"), "mmap");
  EXPECT_EQ(mode_with("LLAMA_ARG_NO_MMAP=1"), "none");
}

TEST(OverrideOptions, ExpertsMayGoElsewhereAndSayTheSame) {
  const RunOptions two{.input = {}, .environment = {"POCL_DEVICES=pthread pthread"}};
  const auto expected = run({}).at("tokens");
  const std::vector<std::string> rows[] = {{"-cmoe"},
                                           {"-ncmoe", "1"},
                                           {"-dev", "1", "-cmoe"},  // the first CPU joins
                                           {"-dev", "1", "--n-cpu-moe", "1"},
                                           {"-ot", "exps=1"},
                                           {"-ot", R"(blk\.1\.=1)", "-ot", "token_embd=1,^output=0"},
                                           {"-ts", "1/1", "-ot", "attn=0"}};
  for (const auto& options : rows) {
    EXPECT_EQ(run(options, two).at("tokens"), expected) << testing::PrintToString(options);
  }
  // both devices are named in the report where both are used
  const auto report = [&](const std::vector<std::string>& more, const RunOptions& options) {
    return gguf_run(generation(mixture(), more), options).err;
  };
  EXPECT_THAT(report({"-dev", "1", "-cmoe"}, two), HasSubstr("2 x "));
  EXPECT_THAT(report({"-dev", "1"}, two), Not(HasSubstr("2 x ")));
  const auto with = [&](const std::string& variable) {
    return report({"-dev", "1"}, {.input = {}, .environment = {two.environment.front(), variable}});
  };
  EXPECT_THAT(with("LLAMA_ARG_CPU_MOE=1"), HasSubstr("2 x "));
  EXPECT_THAT(with("LLAMA_ARG_CPU_MOE=0"), Not(HasSubstr("2 x ")));
}

TEST(OverrideOptions, MistakesAreNamed) {
  const std::pair<std::string, std::string> rows[] = {
      {"blk.(=0", "blk.("}, {"exps=abacus", "abacus"}, {"exps=99", "99"}};
  for (const auto& [text, message] : rows) {
    const auto result = gguf_run(generation(mixture(), {"-ot", text}));
    EXPECT_EQ(result.exit_code, 2) << text << result.err;
    EXPECT_THAT(result.err, HasSubstr(message));
    EXPECT_EQ(result.out, "");
  }
}

TEST(FuseOptions, GgufBenchHasThemToo) {
  const auto bench = [](std::vector<std::string> more) {
    more.insert(more.begin(), {built("gguf-bench"), "-m", mixture(), "-p", "4", "-n", "0", "-r", "1", "-o", "json"});
    return run_program(more);
  };
  for (const std::vector<std::string>& options :
       {std::vector<std::string>{"--fuse", "off"}, {"-muge", "-mqkv"}, {"--no-merge-qkv"}, {"--no-mmap"}}) {
    const auto result = bench(options);
    EXPECT_EQ(result.exit_code, 0) << testing::PrintToString(options) << result.err;
    EXPECT_EQ(parsed(result.out).size(), 1U);
  }
  const auto loading = run_program(
      {built("gguf-bench"), "-m", mixture(), "-p", "0", "-n", "0", "-r", "1", "--load", "-lm", "dio", "-o", "json"});
  ASSERT_EQ(loading.exit_code, 0) << loading.err;
  for (const auto& row : parsed(loading.out)) EXPECT_EQ(row.at("load_mode"), "dio");
  const auto wrong = bench({"--fuse", "yes"});
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_THAT(wrong.out, HasSubstr("give one of auto, on, off"));
}

}  // namespace
}  // namespace gguf_fuse::test_support
