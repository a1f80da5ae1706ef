// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli_test.hpp"
#include "support/paths.hpp"

namespace gguf_fuse::test_support {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

/// Runs as given and with --json, and expects the same exit code and one error each.
void expect_failure(const std::vector<std::string>& arguments, int exit_code, const std::string& code) {
  const auto plain = gguf_fuse(arguments);
  EXPECT_EQ(plain.exit_code, exit_code) << plain.err;
  EXPECT_EQ(plain.out, "");
  EXPECT_THAT(plain.err, StartsWith("error: "));
  EXPECT_EQ(plain.err.find('\n'), plain.err.size() - 1) << "one line";
  auto with_json = arguments;
  with_json.emplace_back("--json");
  const auto json = gguf_fuse(with_json);
  EXPECT_EQ(json.exit_code, exit_code);
  EXPECT_EQ(json.err, "");
  const auto error = parsed(json.out).at("error");
  EXPECT_EQ(error.at("code"), code);
  EXPECT_EQ(error.at("exit_code"), exit_code);
  EXPECT_EQ("error: " + error.at("message").get<std::string>() + "\n", plain.err);
}

TEST(ExitCode, OneForTheEnvironment) {
  const TempDir folder;
  const std::string missing = folder.file("missing.gguf"), out = folder.file("out.gguf");
  for (const char* command : {"plan", "inspect", "hash"}) expect_failure({command, missing}, 1, "OpenFailed");
  expect_failure({"convert", missing, out}, 1, "OpenFailed");
  expect_failure({"verify", llama(), missing}, 1, "OpenFailed");
  expect_failure({"inspect", folder.path().string()}, 1, "NotAFile");
  expect_failure({llama(), folder.file("no/such/folder.gguf")}, 1, "OpenFailed");
  EXPECT_THAT(list_folder(folder.path()), IsEmpty());
}

TEST(ExitCode, OneForAnOutputThatIsThere) {
  const TempDir folder;
  const std::string out = folder.file("out.gguf");
  write_text(out, "precious");
  expect_failure({llama(), out}, 1, "OutputExists");
  EXPECT_EQ(read_text(out), "precious");
  EXPECT_EQ(gguf_fuse({llama(), out, "-f"}).exit_code, 0);
  expect_failure({out, out, "-f"}, 1, "SameFile");
}

TEST(ExitCode, TwoForALimitThatIsTooSmall) {
  const TempDir folder;
  expect_failure({llama(), folder.file("out.gguf"), "--max-memory", "1"}, 2, "MemoryLimitTooSmall");
}

TEST(ExitCode, ThreeForMalformedInput) {
  const TempDir folder;
  const std::string bad = altered_copy(llama(), folder, "GGUF", "FUGG");
  for (const char* command : {"plan", "inspect", "hash"}) expect_failure({command, bad}, 3, "BadMagic");
  expect_failure({bad, folder.file("out.gguf")}, 3, "BadMagic");
  const auto empty = gguf_fuse({"inspect", "-"});
  EXPECT_EQ(empty.exit_code, 3) << empty.err;
}

TEST(ExitCode, FourWhereNothingCanBeDone) {
  const TempDir folder;
  expect_failure({"unfuse", llama(), folder.file("out.gguf")}, 4, "NothingToUnfuse");
  expect_failure({llama(), folder.file("out.gguf"), "--strict", "--target", "both"}, 4, "NothingToFuse");
  EXPECT_THAT(list_folder(folder.path()), IsEmpty());
}

TEST(ExitCode, FiveForWeightsThatDiffer) {
  const TempDir folder;
  const std::string fused = folder.file("fused.gguf");
  ASSERT_EQ(gguf_fuse({"-q", llama(), fused}).exit_code, 0);
  EXPECT_EQ(gguf_fuse({"verify", fused, llama()}).exit_code, 0);
  std::string bytes = read_text(fused);
  const std::size_t somewhere = bytes.size() - 1000;
  bytes[somewhere] = static_cast<char>(bytes[somewhere] ^ 1);
  write_text(fused, bytes);
  expect_failure({"verify", fused, llama()}, 5, "TensorsDiffer");
  expect_failure({"verify", llama(), model("llama-q4_k_m.gguf")}, 5, "DifferentModels");
}

TEST(ExitCode, OneWhenTheResultCannotBePrinted) {
  const auto result = run_program({"/bin/sh", "-c", built("gguf-fuse") + " targets > /dev/full"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("standard output: does not fit"));
}

TEST(ExitCode, ClosedPipeIsNoAccident) {
  // `true` is gone before the table is printed; the pipe's reader decided that, so nothing is said
  const auto result =
      run_program({"/bin/bash", "-c", "{ sleep 0.2; " + built("gguf-fuse") + " targets; echo code $? >&2; } | true"});
  EXPECT_EQ(result.err, "code 1\n");
}

}  // namespace
}  // namespace gguf_fuse::test_support
