// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "cli_test.hpp"

namespace gguf_fuse::test_support {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

const std::vector<std::string> kCommands{"convert", "unfuse", "plan", "inspect", "verify", "hash", "targets"};

TEST(Help, EveryCommandHasOneOnStandardOutput) {
  for (const std::string& command : kCommands) {
    for (const std::vector<std::string>& arguments :
         {std::vector<std::string>{command, "--help"}, {command, "-h"}, {"help", command}, {command, "a.gguf", "-h"}}) {
      if (command == "targets" && arguments.size() == 3) continue;  // takes no argument
      const auto result = gguf_fuse(arguments);
      EXPECT_EQ(result.exit_code, 0) << command;
      EXPECT_THAT(result.out, StartsWith("Usage: gguf-fuse " + command));
      EXPECT_THAT(result.out, HasSubstr("Examples:"));
      EXPECT_EQ(result.err, "");
    }
  }
}

TEST(Help, NamesEveryCommandAndExitCode) {
  for (const char* flag : {"--help", "-h", "help"}) {
    const auto result = gguf_fuse({flag});
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_THAT(result.out, StartsWith("Usage: gguf-fuse "));
    for (const std::string& command : kCommands) EXPECT_THAT(result.out, HasSubstr("\n  " + command));
    for (const char* code : {"  0 ", "  1 ", "  2 ", "  3 ", "  4 ", "  5 ", "  130 "})
      EXPECT_THAT(result.out, HasSubstr(code));
  }
}

TEST(Help, FitsATerminalOfHundredColumns) {
  std::istringstream lines(gguf_fuse({"--help-all"}).out);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100U) << line;
}

TEST(Help, VersionNamesProgramAndLicence) {
  const auto result = gguf_fuse({"--version"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, testing::ContainsRegex("^gguf-fuse [0-9]+\\.[0-9]+\\.[0-9]+\n"));
  EXPECT_THAT(result.out, HasSubstr("MIT"));
  EXPECT_EQ(result.err, "");
}

TEST(Targets, TableHasEveryArchitecture) {
  const auto text = gguf_fuse({"targets"});
  const auto markdown = gguf_fuse({"targets", "--markdown"});
  const auto json = parsed(gguf_fuse({"targets", "--json"}).out);
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_EQ(json["targets"].size(), 4U);
  EXPECT_GT(json["architectures"].size(), 50U);
  for (const auto& row : json["architectures"]) {
    const std::string name = row["architecture"];
    EXPECT_THAT(text.out, HasSubstr("\n" + name + " "));
    EXPECT_THAT(markdown.out, HasSubstr("\n| " + name + " |"));
  }
}

}  // namespace
}  // namespace gguf_fuse::test_support
