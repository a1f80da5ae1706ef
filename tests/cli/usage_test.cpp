// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli_test.hpp"

namespace gguf_fuse::test_support {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

struct WrongUse {
  std::vector<std::string> arguments;
  std::string message;
};

const WrongUse kWrongUses[] = {
    {{}, "what to do?"},
    {{"convrt", "a.gguf"}, "unknown command \"convrt\"; did you mean convert?"},
    {{"frobnicate"}, "unknown command \"frobnicate\"; the commands are convert, unfuse"},
    {{"convert", "--tagret", "both", "a", "b"}, "unknown option --tagret; did you mean --target?"},
    {{"a.gguf", "b.gguf", "--tagret=both"}, "unknown option --tagret; did you mean --target?"},
    {{"a.gguf", "b.gguf", "--split-max"}, "unknown option --split-max; did you mean --split-max-size?"},
    {{"a.gguf", "b.gguf", "-force"}, "unknown option -force; did you mean --force?"},
    {{"a.gguf", "b.gguf", "--zzzzzz"}, "unknown option --zzzzzz\n"},
    {{"a.gguf", "b.gguf", "-z"}, "unknown option -z\n"},
    {{"a.gguf", "b.gguf", "--\x1b[31m"}, "unknown option --\\x1b[31m"},
    {{"inspect", "--strict", "a.gguf"}, "unknown option --strict"},
    {{"convert", "a.gguf"}, "OUT is missing"},
    {{"a.gguf"}, "OUT is missing"},
    {{"convert"}, "IN is missing"},
    {{"plan"}, "IN is missing"},
    {{"verify", "a.gguf"}, "ORIGINAL is missing"},
    {{"verify", "-", "-"}, "only one of FUSED and ORIGINAL"},
    {{"convert", "", "b"}, "an argument is empty"},
    {{"a.gguf", "b.gguf", "c.gguf"}, "unexpected argument \"c.gguf\": convert takes IN OUT"},
    {{"targets", "x"}, "unexpected argument \"x\": targets takes none"},
    {{"a.gguf", "b.gguf", "--target"}, "option --target needs a value: --target T"},
    {{"a.gguf", "b.gguf", "--target="}, "option --target needs a value"},
    {{"a.gguf", "b.gguf", "--target", "--force"}, "option --target needs a value"},
    {{"a.gguf", "b.gguf", "--force=yes"}, "option --force takes no value"},
    {{"a.gguf", "b.gguf", "--target", "ik"}, "--target \"ik\": unknown value; give one of llama.cpp, ik_llama.cpp"},
    {{"a.gguf", "b.gguf", "--target", "lama.cpp"}, "did you mean llama.cpp?"},
    {{"a.gguf", "b.gguf", "--only", "kqv"}, "--only \"kqv\": unknown value; did you mean qkv?"},
    {{"a.gguf", "b.gguf", "--load-mode", "fast"}, "give one of none, mmap, dio"},
    {{"a.gguf", "b.gguf", "--copy", "fast"}, "give one of auto, kernel, ring"},
    {{"a.gguf", "b.gguf", "-t", "257"}, "-t"},
    {{"a.gguf", "b.gguf", "--threads", "two"}, "--threads \"two\": give a whole number from -1 to 256"},
    {{"a.gguf", "b.gguf", "--threads", "-2"}, "--threads \"-2\": give a whole number from -1 to 256"},
    {{"a.gguf", "b.gguf", "--split-max-tensors", "-1"}, "the value must not be negative"},
    {{"a.gguf", "b.gguf", "-t4x"}, "\"4x\""},
    {{"a.gguf", "b.gguf", "--layers", "5-3"}, "the first layer is larger than the last"},
    {{"a.gguf", "b.gguf", "--layers", "a-b"}, "give one layer (3), a range (0-11)"},
    {{"a.gguf", "b.gguf", "--layers", "4294967296"}, "give one layer"},
    {{"a.gguf", "b.gguf", "--max-memory", "64X"}, "give a size such as 500M"},
    {{"a.gguf", "b.gguf", "--max-memory", "M"}, "give a size such as 500M"},
    {{"a.gguf", "b.gguf", "--max-memory", "1.2.3G"}, "give a size such as 500M"},
    {{"a.gguf", "b.gguf", "--max-memory", "0"}, "the size must be larger than 0"},
    {{"a.gguf", "b.gguf", "--max-memory", "0.1"}, "the size must be larger than 0"},
    {{"a.gguf", "b.gguf", "--max-memory", "99999999999T"}, "the size is too large"},
    {{"a.gguf", "b.gguf", "--max-memory", "99999999999999999999"}, "the size is too large"},
    {{"a.gguf", "b.gguf", "--split-max-tensors", "0"}, "give a whole number from 1"},
    {{"a.gguf", "b.gguf", "--keep-split", "--split-max-size", "1G"}, "--keep-split cuts where the input is cut"},
};

TEST(Usage, EveryMistakeIsNamedAndExitsWithTwo) {
  for (const WrongUse& use : kWrongUses) {
    const auto result = gguf_fuse(use.arguments);
    const std::string shown = testing::PrintToString(use.arguments);
    EXPECT_EQ(result.exit_code, 2) << shown;
    EXPECT_EQ(result.out, "") << shown;
    EXPECT_THAT(result.err, StartsWith("error: ")) << shown;
    EXPECT_THAT(result.err, HasSubstr(use.message)) << shown;
    EXPECT_THAT(result.err, HasSubstr("try: gguf-fuse ")) << shown;
  }
}

TEST(Usage, MistakesAreJsonWhereJsonIsAskedFor) {
  for (WrongUse use : kWrongUses) {
    use.arguments.emplace_back("--json");
    if (use.arguments.size() > 1 && use.arguments[use.arguments.size() - 2] == "--target") continue;
    const auto result = gguf_fuse(use.arguments);
    EXPECT_EQ(result.exit_code, 2);
    const auto error = parsed(result.out).at("error");
    EXPECT_EQ(error.at("kind"), "usage");
    EXPECT_EQ(error.at("exit_code"), 2);
    EXPECT_EQ(result.err, "");
  }
}

TEST(Usage, ValuesInEverySpellingAreTaken) {
  const std::vector<std::vector<std::string>> spellings{
      {"--max-memory", "64M"},
      {"--max-memory=64MiB"},
      {"--max_memory", "64mib"},
      {"--max_memory=67108864"},
      {"--max-memory", "0.5G"},
      {"--max-memory", "64MB"},
      {"--max-memory", "70000K"},
      {"--max-memory", "1GiB"},
      {"--split-max-size", "1G"},
      {"--split_max_size=300K"},
      {"--split-max-tensors", "4"},
      {"-t", "2"},
      {"--threads", "-1"},
      {"-lm", "none"},
      {"-t2"},
      {"--threads=2"},
      {"-nft2"},
      {"--layers", "1"},
      {"--layers=0-1"},
      {"--layers", "1-"},
      {"--target", "both"},
      {"--only", "qkv"},
      {"--only=gate-up"},
      {"--load-mode", "mmap"},
      {"--load-mode", "dio"},
      {"--copy", "ring"},
      {"--keep-split"},
      {"--no_verify", "--force"},
      {"--force", "--force"},
      {"-t", "1", "-t", "2"},
  };
  const TempDir folder;
  for (std::vector<std::string> arguments : spellings) {
    const std::string shown = testing::PrintToString(arguments);
    for (const char* word : {"--dry-run", "convert"}) arguments.insert(arguments.begin(), word);
    arguments.push_back(llama());
    arguments.push_back(folder.file("out.gguf"));
    const auto result = gguf_fuse(arguments);
    EXPECT_EQ(result.exit_code, 0) << shown << result.err;
  }
  EXPECT_TRUE(list_folder(folder.path()).empty());
}

TEST(Usage, FilesMayBeNamedLikeCommandsAndOptions) {
  const TempDir folder;
  write_text(folder.file("plan"), read_text(llama()));
  const RunOptions there{.input = {}, .environment = {}, .folder = folder.path().string()};
  EXPECT_EQ(gguf_fuse({"convert", "plan", "hash"}, there).exit_code, 0);
  EXPECT_EQ(gguf_fuse({"convert", "--", "plan", "--force"}, there).exit_code, 0);
  EXPECT_EQ(gguf_fuse({"./plan", "out", "--dry-run"}, there).exit_code, 0);
  EXPECT_THAT(list_folder(folder.path()), testing::ElementsAre("--force", "hash", "plan"));
}

}  // namespace
}  // namespace gguf_fuse::test_support
