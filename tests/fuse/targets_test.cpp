// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>

#include "gguf_fuse/fuse/targets.hpp"
#include "support/paths.hpp"

namespace gguf_fuse::fuse {
namespace {

// What the engines' sources were found to do, kept apart from the table in the library.
std::map<std::string, std::vector<std::string>> engine_facts() {
  std::map<std::string, std::vector<std::string>> facts;
  std::ifstream file(test_support::test_data("engines.tsv"));
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with('#')) continue;
    std::istringstream words(line);
    std::string name;
    words >> name;
    for (std::string word; words >> word;) facts[name].push_back(word);
  }
  return facts;
}

std::string word(Support support) {
  switch (support) {
    case Support::Unknown:
      return "?";
    case Support::No:
      return "no";
    case Support::Yes:
      return "yes";
    case Support::Required:
      return "required";
    case Support::Crashes:
      return "crash";
    case Support::None:
      return "-";
  }
  return "";
}

// "no" and "the architecture has none" lead to the same plan.
std::string plain(std::string text) { return text == "-" ? "no" : text; }

TEST(Rules, ATensorIsFusedByItsNameOrByItsRows) {
  for (const Rule& row : rules()) {
    ASSERT_NE(row.family, nullptr) << row.name;
    EXPECT_EQ(row.result_is_part(), row.rows == PartRows::EqualStated) << row.name;
    EXPECT_EQ(row.result_is_part(), !row.length_key.empty()) << row.name;
  }
}

TEST(Targets, EveryRowOfTheFactsIsInTheTable) {
  const auto facts = engine_facts();
  ASSERT_GT(facts.size(), 60U);
  for (const auto& [name, words] : facts) {
    ASSERT_EQ(words.size(), 5U) << name;
    EXPECT_EQ(plain(word(support(Target::LlamaCpp, name, RuleId::GateUpExperts))), plain(words[0])) << name;
    EXPECT_EQ(plain(word(support(Target::LlamaCpp, name, RuleId::GateUpDense))), plain(words[1])) << name;
    EXPECT_EQ(plain(word(support(Target::LlamaCpp, name, RuleId::Qkv))), plain(words[2])) << name;
    const bool ik_named = words[3] != "-" || words[4] != "-";
    if (!ik_named || name == "cohere2moe") continue;
    EXPECT_EQ(plain(word(support(Target::IkLlamaCpp, name, RuleId::GateUpExperts))), plain(words[3])) << name;
    EXPECT_EQ(plain(word(support(Target::IkLlamaCpp, name, RuleId::Qkv))), plain(words[4])) << name;
  }
}

TEST(Targets, OnlyFiveArchitecturesAreReadFusedByBothForExperts) {
  std::vector<std::string_view> both;
  for (const ArchitectureRow& row : architectures()) {
    const Support here = support(Target::Both, row.name, RuleId::GateUpExperts);
    if (here == Support::Yes || here == Support::Required) both.push_back(row.name);
  }
  EXPECT_EQ(both, (std::vector<std::string_view>{"deepseek2", "gemma4", "mistral4", "qwen35moe", "qwen3next"}));
}

TEST(Targets, TenArchitecturesOfMainlineReadFusedExperts) {
  std::vector<std::string_view> names;
  for (const ArchitectureRow& row : architectures()) {
    if (support(Target::LlamaCpp, row.name, RuleId::GateUpExperts) == Support::Yes) names.push_back(row.name);
  }
  EXPECT_EQ(names, (std::vector<std::string_view>{"cohere2moe", "deepseek2", "deepseek2-ocr", "gemma4", "granite_swa",
                                                  "hy_v3", "mistral4", "qwen35moe", "qwen3next", "qwen4exp"}));
}

TEST(Targets, UnknownArchitecturesAreNotFusedForEngines) {
  EXPECT_EQ(support(Target::LlamaCpp, "no-such-model", RuleId::Qkv), Support::Unknown);
  EXPECT_EQ(support(Target::GgufFuse, "no-such-model", RuleId::Qkv), Support::Yes);
}

TEST(Targets, CrashesWinInBoth) {
  EXPECT_EQ(support(Target::Both, "gpt-oss", RuleId::GateUpExperts), Support::Crashes);
}

TEST(Targets, NamesAreFoundAgain) {
  for (const TargetRow& row : targets()) {
    EXPECT_EQ(find_target(row.name), row.target);
    EXPECT_EQ(target_name(row.target), row.name);
  }
  EXPECT_FALSE(find_target("llama"));
}

}  // namespace
}  // namespace gguf_fuse::fuse
