// SPDX-License-Identifier: MIT
// Command lines that were written for llama.cpp's programs. Nothing here needs a device.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "llama_flags.hpp"
#include "run_test.hpp"
#include "support/paths.hpp"

namespace gguf_fuse::test_support {
namespace {

using cli::ForeignRow;
using cli::split_words;
using cli::Verdict;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

struct Program {
  std::string path;
  std::string name;
  std::vector<std::string> arguments;  // with which it is understood, and fails as the model does not exist
  std::vector<cli::ForeignTable> tables;
};

std::vector<Program> programs() {
  return {
      {built("gguf-run"),
       "gguf-run",
       {"-m", "/nonexistent/a", "-p", "x"},
       {cli::llama_cli_flags(), cli::ik_llama_flags()}},
      {built("gguf-bench"), "gguf-bench", {"-m", "/nonexistent/a"}, {cli::llama_bench_flags(), cli::ik_llama_flags()}}};
}

ProgramResult run(const Program& program, const std::vector<std::string>& more, const RunOptions& options = {}) {
  std::vector<std::string> arguments{program.path};
  arguments.insert(arguments.end(), program.arguments.begin(), program.arguments.end());
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run_program(arguments, options);
}

/// A flag with as many values as its row says.
std::vector<std::string> with_values(std::string_view name, const ForeignRow& row) {
  std::vector<std::string> arguments{std::string(name)};
  if (row.word.starts_with('[')) return arguments;
  for (std::size_t i = 0; i < split_words(row.word, ' ').size(); ++i) arguments.emplace_back("7");
  return arguments;
}

template <typename Visit>
void for_each_row(const Program& program, Verdict verdict, const Visit& visit) {
  for (const cli::ForeignTable& table : program.tables) {
    for (const ForeignRow& row : table.rows) {
      if (row.verdict == verdict) visit(table, row);
    }
  }
}

std::set<std::string> own_names(const Program& program) {
  const std::string help = run_program({program.path, "--help"}).out;
  std::set<std::string> names;
  for (std::size_t at = 0; at < help.size();) {
    const std::size_t begin = help.find_first_of("-", at);
    if (begin == std::string::npos) break;
    const std::size_t end = std::min(help.find_first_of(" ,\n;:)]", begin), help.size());
    if (begin == 0 || help[begin - 1] == ' ') names.insert(help.substr(begin, end - begin));
    at = end;
  }
  return names;
}

TEST(ForeignFlags, WhatMeansTheSameIsAnOptionOfOurs) {
  for (const Program& program : programs()) {
    const auto own = own_names(program);
    for_each_row(program, Verdict::Same, [&](const auto&, const ForeignRow& row) {
      for (const auto name : split_words(row.names, ' ')) {
        EXPECT_TRUE(own.contains(std::string(name))) << program.name << " " << name;
      }
    });
    // and nothing of ours is called missing or without effect
    for (const Verdict verdict : {Verdict::Harmless, Verdict::Missing}) {
      for_each_row(program, verdict, [&](const auto&, const ForeignRow& row) {
        for (const auto name : split_words(row.names, ' ')) {
          EXPECT_FALSE(own.contains(std::string(name))) << program.name << " " << name;
        }
      });
    }
  }
}

TEST(ForeignFlags, WhatChangesNothingIsTakenWithOneWarning) {
  for (const Program& program : programs()) {
    std::vector<std::string> arguments, names;
    for_each_row(program, Verdict::Harmless, [&](const auto&, const ForeignRow& row) {
      for (const auto name : split_words(row.names, ' ')) {
        for (std::string& one : with_values(name, row)) arguments.push_back(std::move(one));
        names.push_back(std::string(name) + " (" + std::string(row.note) + ")");
      }
    });
    const auto result = run(program, arguments);
    EXPECT_EQ(result.exit_code, 1) << result.err;  // there is no model
    for (const std::string& name : names) EXPECT_THAT(result.err, HasSubstr(name));
    const std::size_t first = result.err.find("no effect here");
    EXPECT_EQ(result.err.find("no effect here", first + 1), std::string::npos) << result.err;
  }
}

TEST(ForeignFlags, WhatIsNotThereSaysWhatInstead) {
  for (const Program& program : programs()) {
    for_each_row(program, Verdict::Missing, [&](const cli::ForeignTable& table, const ForeignRow& row) {
      for (const auto name : split_words(row.names, ' ')) {
        const auto result = run(program, with_values(name, row));
        EXPECT_EQ(result.exit_code, 2) << name << result.err;
        EXPECT_THAT(result.err, HasSubstr("error: " + std::string(table.program) + " has " + std::string(name)));
        EXPECT_THAT(result.err, HasSubstr(program.name + " does not: " + std::string(row.note)));
        EXPECT_THAT(result.err, Not(HasSubstr("did you mean")));
        for (const auto value : split_words(row.idle_values, '|')) {
          const auto taken = run(program, {std::string(name), std::string(value)});
          EXPECT_EQ(taken.exit_code, 1) << name << value;
          EXPECT_THAT(taken.err, HasSubstr("no effect here: " + std::string(name) + " " + std::string(value)));
        }
      }
    });
  }
}

TEST(ForeignFlags, AllOfLlamaCppAreKnown) {
  const auto flags = parsed(read_text(test_data("llama_flags.json")));
  const auto known = [](const cli::ForeignTable& table) {
    std::set<std::string> names;
    for (const ForeignRow& row : table.rows) {
      for (const auto name : split_words(row.names, ' ')) names.insert(std::string(name));
    }
    return names;
  };
  const auto missing = [](const nlohmann::json& wanted, const std::set<std::string>& names) {
    std::vector<std::string> out;
    for (const std::string name : wanted) {
      if (!names.contains(name)) out.push_back(name);
    }
    return out;
  };
  EXPECT_THAT(missing(flags.at("cli"), known(cli::llama_cli_flags())), IsEmpty());
  EXPECT_THAT(missing(flags.at("bench"), known(cli::llama_bench_flags())), IsEmpty());
  std::set<std::string> variables;
  for (const ForeignRow& row : cli::llama_cli_flags().rows) {
    for (const auto name : split_words(row.environment, ' ')) variables.insert(std::string(name));
  }
  const std::string help = gguf_run({"--help"}).out;
  for (const std::string name : flags.at("cli_environment")) {
    EXPECT_TRUE(variables.contains(name) || help.find("[" + name + "]") != std::string::npos) << name;
  }
}

TEST(ForeignFlags, TheEnvironmentSaysTheSame) {
  const Program program = programs().front();
  std::vector<std::string> environment, names;
  for_each_row(program, Verdict::Harmless, [&](const auto&, const ForeignRow& row) {
    for (const auto name : split_words(row.environment, ' ')) {
      environment.push_back(std::string(name) + "=7");
      names.emplace_back(name);
    }
  });
  const auto harmless = run(program, {}, {.environment = environment});
  EXPECT_EQ(harmless.exit_code, 1) << harmless.err;
  for (const std::string& name : names) EXPECT_THAT(harmless.err, HasSubstr(name + " ("));
  EXPECT_THAT(run(program, {}, {.environment = {"LLAMA_ARG_MLOCK=0"}}).err, Not(HasSubstr("no effect")));
  for_each_row(program, Verdict::Missing, [&](const auto&, const ForeignRow& row) {
    for (const auto name : split_words(row.environment, ' ')) {
      const auto result = run(program, {}, {.environment = {std::string(name) + "=7"}});
      EXPECT_EQ(result.exit_code, 2) << name;
      EXPECT_THAT(result.err, HasSubstr("llama.cpp has " + std::string(name)));
    }
  });
}

TEST(ForeignFlags, ValuesFollowAsLlamaCppTakesThem) {
  const Program program = programs().front();
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"-fa"}, {"-fa", "on"}, {"-fa", "1"}, {"--flash-attn=auto"}, {"-mg=0"}}) {
    EXPECT_EQ(run(program, arguments).exit_code, 1) << testing::PrintToString(arguments);
  }
  // -fa takes only its own words
  EXPECT_THAT(run(program, {"-fa", "-n", "ten"}).err, HasSubstr("-n \"ten\""));
  EXPECT_THAT(run(program, {"-tb"}).err, HasSubstr("option -tb needs a value"));
  EXPECT_THAT(run(program, {"--cache_ram", "7"}).err, HasSubstr("--cache-ram ("));
}

TEST(ForeignFlags, TypesOfCaches) {
  for (const char* type : {"f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "iq4_nl"}) {
    const auto result =
        gguf_run({"-m", llama(), "-p", "the", "-n", "2", "--temp", "0", "--no-perf", "-ctk", type, "-ctv", type});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_NE(result.out, "");
  }
  for (const char* type : {"q6_0", "q8_KV"}) {
    const auto result = gguf_run({"-m", "a", "-p", "x", "-ctk", type});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.err, HasSubstr("no such cache; q8_0 is nearest"));
  }
}

TEST(ForeignFlags, AModelMayStandAlone) {
  const auto expected = gguf_run({"-m", llama(), "-p", "the", "-n", "2", "--temp", "0", "--no-perf"});
  const auto alone = gguf_run({llama(), "-p=the", "-n=2", "--temp=0", "--no-perf"});
  EXPECT_EQ(alone.exit_code, 0) << alone.err;
  EXPECT_EQ(alone.out, expected.out);
  EXPECT_THAT(gguf_run({"none.gguf", "-p", "x"}).err, HasSubstr("none.gguf"));
  EXPECT_EQ(gguf_run({"-m", "a.gguf", "b.gguf", "-p", "x"}).exit_code, 2);
  EXPECT_EQ(run_program({built("gguf-bench"), "none.gguf"}).exit_code, 1);
}

TEST(ForeignFlags, OptionsWithoutEffectSaySo) {
  const auto says = [](const std::vector<std::string>& more) {
    std::vector<std::string> arguments{"-m", "/nonexistent/a", "-p", "x"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return gguf_run(arguments).err;
  };
  EXPECT_THAT(says({"--chat-template", "chatml"}), HasSubstr("--chat-template has no effect: the text is continued"));
  EXPECT_THAT(says({"--chat-template", "chatml", "-cnv"}), Not(HasSubstr("no effect")));
  EXPECT_THAT(says({"-sys", "x", "-no-cnv"}), HasSubstr("-sys has no effect"));
  EXPECT_THAT(says({"-sys", "x"}), Not(HasSubstr("no effect")));
  EXPECT_THAT(says({"-st"}), HasSubstr("-st has no effect"));
  EXPECT_THAT(says({"--keep", "4"}), HasSubstr("--keep has no effect"));
  EXPECT_THAT(says({"--keep", "4", "--context-shift"}), Not(HasSubstr("no effect")));
  EXPECT_THAT(says({"--repeat-last-n", "4"}), HasSubstr("--repeat-last-n has no effect"));
  EXPECT_THAT(says({"--repeat-last-n", "4", "--repeat-penalty", "2"}), Not(HasSubstr("no effect")));
}

}  // namespace
}  // namespace gguf_fuse::test_support
