// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <regex>
#include <set>
#include <sstream>

#include "cli_test.hpp"

namespace gguf_fuse::test_support {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::Not;
using testing::UnorderedElementsAre;

struct Program {
  std::string name, help;
};
const Program kPrograms[] = {{"gguf-fuse", "--help-all"}, {"gguf-run", "--help"}, {"gguf-bench", "--help"}};

std::string output_of(const std::string& program, const std::string& option) {
  const auto result = run_program({built(program), option});
  EXPECT_EQ(result.exit_code, 0) << program << " " << option;
  EXPECT_EQ(result.err, "");
  return result.out;
}

/// Names of options at the begin of the lines of a help text.
std::set<std::string> options_of(const Program& program) {
  static const std::regex kNames("^ +(-[a-z-]+(, -[a-z-]+)*)"), kName("-[a-z-]+");
  std::istringstream help(output_of(program.name, program.help));
  std::set<std::string> options;
  for (std::string line; std::getline(help, line);) {
    std::smatch names;
    if (!std::regex_search(line, names, kNames)) continue;
    const std::string text = names[1];
    options.insert(std::sregex_token_iterator(text.begin(), text.end(), kName), std::sregex_token_iterator());
  }
  return options;
}

/// The words of a text that could be options.
std::set<std::string> dashed_words(const std::string& text) {
  static const std::regex kWord("-[a-z][a-z-]*|--[a-z][a-z-]*");
  return {std::sregex_token_iterator(text.begin(), text.end(), kWord), std::sregex_token_iterator()};
}

/// What a real bash offers for the last of `words`, which stand behind the program's name, where the script is sourced.
std::vector<std::string> offered(const std::string& program, const std::vector<std::string>& words,
                                 const RunOptions& options = {}) {
  // the program by its path, as completing devices runs it
  const std::string script =
      "set -u; source <(\"$0\" --completion-bash); COMP_WORDS=(\"$0\" \"$@\"); COMP_CWORD=$#; "
      "\"$(complete -p " +
      program +
      " | sed 's/.*-F \\([^ ]*\\) .*/\\1/')\"; "
      "((${#COMPREPLY[@]} == 0)) || printf '%s\\n' \"${COMPREPLY[@]}\"";
  std::vector<std::string> arguments{"/bin/bash", "--norc", "-c", script, built(program)};
  arguments.insert(arguments.end(), words.begin(), words.end());
  const auto result = run_program(arguments, options);
  EXPECT_EQ(result.err, "");
  std::istringstream out(result.out);
  std::vector<std::string> lines;
  for (std::string line; std::getline(out, line);) lines.push_back(line);
  return lines;
}

TEST(Completion, EveryShellKnowsEveryOption) {
  for (const Program& program : kPrograms) {
    const auto options = options_of(program);
    ASSERT_GT(options.size(), 20U);
    for (const char* shell : {"bash", "zsh"}) {
      const std::string script = output_of(program.name, std::string("--completion-") + shell);
      EXPECT_THAT(dashed_words(script), IsSupersetOf(options)) << shell;
    }
    const std::string fish = output_of(program.name, "--completion-fish");
    for (const std::string& option : options) {
      const std::string name = option.substr(option.starts_with("--") ? 2 : 1);
      const std::string flag = option.starts_with("--") ? " -l " : name.size() == 1 ? " -s " : " -o ";
      EXPECT_THAT(fish, testing::HasSubstr(flag + name + " ")) << program.name;
    }
  }
}

TEST(Completion, BashOffersOptionsOfTheCommand) {
  EXPECT_THAT(offered("gguf-fuse", {"plan", "--ex"}), ElementsAre("--explain"));
  EXPECT_THAT(offered("gguf-fuse", {"convert", "--ex"}), IsEmpty());
  EXPECT_THAT(offered("gguf-fuse", {"-"}), AllOf(Contains("--force"), Contains("--help-all"), Contains("-lm")));
  EXPECT_THAT(offered("gguf-fuse", {"unfuse", "--"}), AllOf(Contains("--copy"), Not(Contains("--only"))));
  EXPECT_THAT(offered("gguf-run", {"--"}), AllOf(Contains("--no-perf"), Not(Contains("--logits"))));
  EXPECT_THAT(offered("gguf-run", {"eval", "--lo"}), ElementsAre("--load-mode", "--log-verbose", "--logits"));
  EXPECT_THAT(offered("gguf-run", {"tokenize", "--lo"}), IsEmpty());
  EXPECT_THAT(offered("gguf-bench", {"-m", "a.gguf", "-n"}),
              UnorderedElementsAre("-n", "-npl", "-npp", "-ntg", "-ngl", "-ncmoe"));
}

TEST(Completion, BashOffersValues) {
  EXPECT_THAT(offered("gguf-fuse", {"--target", ""}), ElementsAre("llama.cpp", "ik_llama.cpp", "gguf-fuse", "both"));
  EXPECT_THAT(offered("gguf-fuse", {"plan", "--only", "q"}), ElementsAre("qkv"));
  EXPECT_THAT(offered("gguf-fuse", {"verify", "-lm", ""}), ElementsAre("none", "mmap", "dio"));
  // bash makes three words of --load-mode=di
  EXPECT_THAT(offered("gguf-fuse", {"--load-mode", "=", "di"}), ElementsAre("dio"));
  EXPECT_THAT(offered("gguf-fuse", {"--load-mode", "="}), ElementsAre("none", "mmap", "dio"));
  EXPECT_THAT(offered("gguf-run", {"-lm", ""}), ElementsAre("auto", "none", "mmap", "dio"));
  EXPECT_THAT(offered("gguf-run", {"-ctk", "q8"}), ElementsAre("q8_0"));
  EXPECT_THAT(offered("gguf-run", {"--chat-template", "chat"}), Contains("chatml"));
  EXPECT_THAT(offered("gguf-run", {"-n", ""}), IsEmpty());
  EXPECT_THAT(offered("gguf-bench", {"-ctv", "f16,bf"}), ElementsAre("f16,bf16"));
  EXPECT_THAT(offered("gguf-bench", {"-o", "js"}), ElementsAre("json", "jsonl"));
}

TEST(Completion, BashOffersDevices) {
  for (const char* program : {"gguf-run", "gguf-bench"}) {
    EXPECT_THAT(offered(program, {"-dev", ""}), AllOf(Contains("none"), Contains("0"))) << program;
    EXPECT_THAT(offered(program, {"-dev", "0,"}), Contains("0,0")) << program;
  }
  // no driver is no reason for noise at the prompt
  const RunOptions none{.environment = {"GGUF_FUSE_OPENCL_LIBRARY=/nonexistent/libOpenCL.so"}};
  EXPECT_THAT(offered("gguf-run", {"-dev", ""}, none), ElementsAre("none"));
}

TEST(Completion, BashOffersModelsCommandsAndFiles) {
  const TempDir folder;
  for (const char* name : {"a model.gguf", "b.gguf.gz", "notes.txt"}) write_text(folder.file(name), "x");
  std::filesystem::create_directory(folder.file("models"));
  const RunOptions there{.folder = folder.path().string()};
  EXPECT_THAT(offered("gguf-fuse", {"plan", ""}, there), UnorderedElementsAre("models", "a model.gguf", "b.gguf.gz"));
  EXPECT_THAT(offered("gguf-fuse", {"p"}, there), ElementsAre("plan"));
  EXPECT_THAT(offered("gguf-fuse", {"targets", ""}, there), IsEmpty());
  EXPECT_THAT(offered("gguf-run", {""}, there),
              UnorderedElementsAre("eval", "tokenize", "models", "a model.gguf", "b.gguf.gz"));
  EXPECT_THAT(offered("gguf-run", {"-m", "a"}, there), ElementsAre("a model.gguf"));
  EXPECT_THAT(offered("gguf-run", {"-f", "n"}, there), ElementsAre("notes.txt"));
  EXPECT_THAT(offered("gguf-bench", {"-m", "b"}, there), ElementsAre("b.gguf.gz"));
}

TEST(Completion, OfOtherShellsIsTheirLanguage) {
  for (const auto& [shell, check] : {std::pair{"bash", "-n"}, {"zsh", "-n"}, {"fish", "-n"}}) {
    const auto found = run_program({"/bin/sh", "-c", std::string("command -v ") + shell});
    if (found.exit_code != 0) continue;
    for (const Program& program : kPrograms) {
      const TempDir folder;
      write_text(folder.file("script"), output_of(program.name, std::string("--completion-") + shell));
      const std::string path = found.out.substr(0, found.out.find('\n'));
      const auto result = run_program({path, check, folder.file("script")});
      EXPECT_EQ(result.exit_code, 0) << shell << " " << program.name << result.err;
    }
  }
}

TEST(ManPage, KnowsEveryOptionAndIsCleanRoff) {
  const std::string pages = built("../man/");
  if (!std::filesystem::exists(pages + "gguf-fuse.1")) GTEST_SKIP() << "no help2man, or an instrumented build";
  const bool groff = run_program({"/bin/sh", "-c", "command -v groff"}).exit_code == 0;
  for (const Program& program : kPrograms) {
    const std::string page = pages + program.name + ".1";
    const std::string text = std::regex_replace(read_text(page), std::regex("\\\\-"), "-");
    EXPECT_THAT(dashed_words(text), IsSupersetOf(options_of(program))) << program.name;
    if (!groff) continue;
    const auto result = run_program({"/bin/sh", "-c", "groff -ww -man -Tutf8 -z \"$0\"", page});
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.err, "");
  }
}

}  // namespace
}  // namespace gguf_fuse::test_support
