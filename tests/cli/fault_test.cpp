// SPDX-License-Identifier: MIT
// What is left when the system fails or the program is killed: the final name holds the whole result or is not there.
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <random>
#include <sstream>

#include "cli_test.hpp"
#include "support/paths.hpp"
#include "support/random_model.hpp"

namespace gguf_fuse::test_support {
namespace {

class Fault : public ::testing::Test {
 protected:
  Fault() {
    expected_ = folder_.file("expected.gguf");
    EXPECT_EQ(gguf_fuse({"convert", input_, expected_, "--quiet"}).exit_code, 0);
  }

  [[nodiscard]] static std::vector<std::string> environment(const std::string& fault, const std::string& log = {}) {
    std::vector<std::string> variables = {"LD_PRELOAD=" + built("libgguf_fuse_faults.so"), "GGUF_FUSE_FAULT=" + fault,
                                          // The sanitizer's runtime wants to be first and does well as second.
                                          "ASAN_OPTIONS=verify_asan_link_order=0"};
    if (!log.empty()) variables.push_back("GGUF_FUSE_FAULT_LOG=" + log);
    return variables;
  }

  /// How often a run makes each call.
  [[nodiscard]] std::vector<std::pair<std::string, int>> calls(std::vector<std::string> arguments) const {
    const std::string log = folder_.file("log");
    EXPECT_EQ(gguf_fuse(std::move(arguments), {.environment = environment("", log)}).exit_code, 0);
    std::istringstream lines(read_text(log));
    std::vector<std::pair<std::string, int>> counts;
    std::string name;
    for (int count = 0; lines >> name >> count;) {
      if (name != "fired") counts.emplace_back(name, count);
    }
    return counts;
  }

  void fail_everywhere(const std::vector<std::string>& arguments, const std::string& output,
                       const std::string& wanted) {
    int runs = 0;
    const auto before = list_folder(folder_.path());
    for (const auto& [call, count] : calls(arguments)) {
      std::filesystem::remove(output);
      std::filesystem::remove(folder_.file("log"));
      for (int n = 1; n <= count; ++n) {
        for (const char* what : {"EIO", "ENOSPC", "short", "kill"}) {
          const std::string fault = call + ":" + std::to_string(n) + ":" + what;
          const ProgramResult result = gguf_fuse(arguments, {.environment = environment(fault)});
          if (result.exit_code == 99) continue;  // "short" has no meaning for this call
          ++runs;
          SCOPED_TRACE(fault + " -> exit " + std::to_string(result.exit_code) + " " + result.err);
          check_outcome(result, output, wanted, std::string(what) == "kill");
          remove_leftovers(before);
        }
      }
    }
    EXPECT_GT(runs, 60);
  }

  void check_outcome(const ProgramResult& result, const std::string& output, const std::string& wanted, bool killed) {
    const bool there = std::filesystem::exists(output);
    EXPECT_TRUE(there || result.exit_code != 0);
    EXPECT_EQ(there ? difference(output, wanted) : "", "");
    EXPECT_EQ(difference(input_, llama()), "");
    if (killed) return;
    EXPECT_FALSE(result.signalled);
    if (result.exit_code == 0) return;
    EXPECT_FALSE(there) << "a failed run leaves no output";
    EXPECT_NE(result.err.find("error:"), std::string::npos);
    for (const std::string& name : list_folder(folder_.path())) EXPECT_FALSE(name.starts_with(".")) << name;
  }

  void remove_leftovers(const std::vector<std::string>& before) const {
    for (const std::string& name : list_folder(folder_.path())) {
      if (std::find(before.begin(), before.end(), name) == before.end()) std::filesystem::remove(folder_.file(name));
    }
  }

  TempDir folder_;
  std::string input_ = llama();
  std::string expected_;
};

TEST_F(Fault, EveryCallOfAConversionMayFail) {
  const std::string output = folder_.file("out.gguf");
  fail_everywhere({"convert", input_, output, "--threads", "1"}, output, expected_);
}

TEST_F(Fault, EveryCallOfAnUnverifiedConversionWithThreadsMayFail) {
  const std::string output = folder_.file("out.gguf");
  fail_everywhere({"convert", input_, output, "--threads", "2", "--no-verify"}, output, expected_);
}

TEST_F(Fault, EveryCallOfUnfusingMayFail) {
  const std::string output = folder_.file("out.gguf");
  fail_everywhere({"unfuse", expected_, output, "--threads", "1"}, output, input_);
}

TEST_F(Fault, KilledAtAnyMomentTheOutputIsWholeOrAbsent) {
  const std::string large = folder_.file("large.gguf");
  RandomModel("granite_swa").layers(8).embedding(256).feed_forward(512).experts(8).write(large);
  const std::string wanted = folder_.file("wanted.gguf");
  ASSERT_EQ(gguf_fuse({"convert", large, wanted, "--quiet"}).exit_code, 0);
  const std::string output = folder_.file("out.gguf");
  std::mt19937 random(1);
  int absent = 0;
  for (int round = 0; round < 200; ++round) {
    std::filesystem::remove(output);
    RunningProgram program({built("gguf-fuse"), "convert", large, output}, RunningProgram::Kind::Pipes);
    usleep(static_cast<useconds_t>(random() % 40000));
    program.send_signal(SIGKILL);
    (void)program.finish();
    if (std::filesystem::exists(output)) {
      ASSERT_EQ(difference(output, wanted), "") << "round " << round;
    } else {
      ++absent;
    }
  }
  EXPECT_GT(absent, 0) << "no run was killed in time: the test tested nothing";
  // The next run that is left alone clears what the killed ones left, and says so.
  std::filesystem::remove(output);
  const ProgramResult last = gguf_fuse({"convert", large, output});
  EXPECT_EQ(last.exit_code, 0);
  for (const std::string& name : list_folder(folder_.path())) EXPECT_FALSE(name.starts_with(".")) << name;
}

TEST_F(Fault, AFullDiskLeavesNothing) {
  const TempDir mount_point;
  if (mount("tmpfs", mount_point.path().c_str(), "tmpfs", 0, "size=128k") != 0) GTEST_SKIP() << "mounting needs root";
  const ProgramResult result = gguf_fuse({"convert", input_, mount_point.file("out.gguf")});
  const auto left = list_folder(mount_point.path());
  umount(mount_point.path().c_str());
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("does not fit on the disk"), std::string::npos) << result.err;
  EXPECT_TRUE(left.empty());
}

TEST_F(Fault, AFileSizeLimitIsNamed) {
  const std::string output = folder_.file("out.gguf");
  const std::string command = "ulimit -f 100; exec " + built("gguf-fuse") + " convert " + input_ + " " + output;
  const ProgramResult result = run_program({"/bin/sh", "-c", command});
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_NE(result.err.find("larger than the system allows"), std::string::npos) << result.err;
  EXPECT_FALSE(std::filesystem::exists(output));
}

TEST_F(Fault, ATruncatedFileIsNeverConverted) {
  const std::string bytes = read_text(input_);
  const std::string cut = folder_.file("cut.gguf");
  const std::string output = folder_.file("out.gguf");
  for (std::size_t length = 0; length < bytes.size() - 32; length += bytes.size() / 50) {
    write_text(cut, bytes.substr(0, length));
    EXPECT_EQ(gguf_fuse({"convert", cut, output}).exit_code, 3) << length;
    EXPECT_EQ(gguf_fuse({"convert", "-", output}, {.input = bytes.substr(0, length)}).exit_code, 3) << length;
    EXPECT_FALSE(std::filesystem::exists(output));
  }
}

}  // namespace
}  // namespace gguf_fuse::test_support
