// SPDX-License-Identifier: MIT
// Drivers that are not there, have nothing to offer, or end the process: what the user reads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "run_test.hpp"
#include "support/paths.hpp"

namespace gguf_fuse::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

support::ProgramResult run_with(std::vector<std::string> environment, std::vector<std::string> more = {}) {
  std::vector<std::string> arguments{"-m", support::llama(), "-p", "the cat", "-n", "2", "--temp", "0"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return support::gguf_run(std::move(arguments), {.environment = std::move(environment)});
}

void expect_advice(const support::ProgramResult& result, const std::vector<std::string>& texts) {
  EXPECT_EQ(result.exit_code, 1) << result.err;
  for (const std::string& text : texts) EXPECT_THAT(result.err, HasSubstr(text));
}

TEST(Driver, PoclWithoutAFolderForItsKernelsIsNamed) {
  const auto result = run_with({"POCL_CACHE_DIR=/proc/nope"});
  expect_advice(result, {"no OpenCL device", "/proc/nope", "POCL_CACHE_DIR"});
  EXPECT_THAT(result.err, Not(HasSubstr("apt install")));
}

TEST(Driver, FoldersWithoutDriversAreNamed) {
  const support::TempDir folder;
  expect_advice(run_with({"OCL_ICD_VENDORS=" + folder.path().string()}),
                {"no driver is named in " + folder.path().string(), "unset OCL_ICD_VENDORS"});
}

TEST(Driver, ADriverWhoseLibraryIsMissingIsNamed) {
  const support::TempDir folder;
  support::write_text(folder.file("gone.icd"), "libgone-opencl.so.1\n");
  expect_advice(run_with({"OCL_ICD_VENDORS=" + folder.path().string()}),
                {folder.file("gone.icd"), "libgone-opencl.so.1", "install the driver again"});
  support::write_text(folder.file("gone.icd"), "\n");
  expect_advice(run_with({"OCL_ICD_VENDORS=" + folder.path().string()}), {folder.file("gone.icd"), "names no library"});
}

class DriverEndTest : public testing::TestWithParam<const char*> {};

// A compiler that breaks off, aborts, leaves or crashes: the call, what may be wrong, and an exit code; as JSON, too.
TEST_P(DriverEndTest, IsToldWithItsCall) {
  const support::TempDir folder;
  const std::vector<std::string> environment{
      "GGUF_FUSE_OPENCL_LIBRARY=" + test_support::built("libgguf_fuse_opencl_faults.so"),
      std::string("GGUF_FUSE_OPENCL_FAULT=clBuildProgram=") + GetParam(), "XDG_CACHE_HOME=" + folder.path().string()};
  expect_advice(run_with(environment, {"--dot", "none"}),
                {"error: an OpenCL call failed: clBuildProgram: the driver", "free some of the disk"});
  const auto json = run_with(environment, {"--dot", "none", "--json"});
  EXPECT_EQ(json.exit_code, 1);
  const auto error = support::parsed(json.out).at("error");
  EXPECT_EQ(error.at("code"), "OpenClFailed");
  EXPECT_THAT(error.at("message").get<std::string>(), HasSubstr("clBuildProgram"));
}

INSTANTIATE_TEST_SUITE_P(By, DriverEndTest, testing::Values("throw", "abort", "exit", "crash"),
                         [](const auto& instance) { return std::string(instance.param); });

TEST(Driver, ThreadsLimitComputeUnitsToo) {
  const auto result = run_with({}, {"-t", "1", "--list-devices"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(run_with({}, {"-t", "1"}).out, run_with({}).out);
}

}  // namespace
}  // namespace gguf_fuse::cli
