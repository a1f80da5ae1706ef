// SPDX-License-Identifier: MIT
// Every program under every kind of shortage: it works, or it says what is wrong, and it ends. A run samples the grid
// for some seconds a kind, from a seed that changes ($GGUF_FUSE_TEST_SEED repeats one); $GGUF_FUSE_WHOLE_GRID runs all
// of it.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>

#include "cli_test.hpp"
#include "support/paths.hpp"
#include "support/random.hpp"
#include "support/sanitized.hpp"

namespace gguf_fuse::cli {
namespace {

using testing::HasSubstr;
using testing::Not;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kSampled{25};
/// Sanitizers take far more of everything than these limits, and end the process themselves.
constexpr bool kSanitized = GGUF_FUSE_SANITIZED != 0;
/// An outcome is to come within this time, on an idle machine.
constexpr int kMostSeconds = 30;

struct Command {
  std::string name;
  std::vector<std::string> arguments;
};

/// OUT is a file in the case's own folder.
std::vector<Command> commands() {
  const std::string model = support::llama();
  return {{"gguf-run", {test_support::built("gguf-run"), "-m", model, "-p", "the cat", "-n", "4", "--temp", "0"}},
          {"gguf-bench", {test_support::built("gguf-bench"), "-m", model, "-p", "8", "-n", "2", "-r", "1"}},
          {"gguf-fuse", {test_support::built("gguf-fuse"), "convert", model, "OUT"}}};
}

/// A shell's way to run short of something, before "exec PROGRAM".
struct Shortage {
  std::string kind;
  std::vector<std::string> ways;
};

std::string fault(const std::string& what) {
  return fmt::format("export LD_PRELOAD={} GGUF_FUSE_FAULT={}", test_support::built("libgguf_fuse_faults.so"), what);
}

std::vector<Shortage> shortages() {
  Shortage memory{"AddressSpace", {}};
  for (int megabytes = 100; megabytes <= 2000; megabytes += 50) {
    memory.ways.push_back(fmt::format("ulimit -v {}", megabytes * 1000));
  }
  Shortage threads{"Threads", {}};
  for (int first = 1; first <= 12; ++first)
    threads.ways.push_back(fault(fmt::format("pthread_create:{}+:EAGAIN", first)));
  Shortage disk{"FullDisk", {}};
  for (const int first : {1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233}) {
    disk.ways.push_back(fault(fmt::format("write:{}+:ENOSPC", first)));
  }
  Shortage file_size{"FileSize", {}};
  for (const int kilobytes : {0, 1, 4, 16, 64, 256, 1024}) {
    file_size.ways.push_back(fmt::format("ulimit -f {}", kilobytes));
  }
  Shortage descriptors{"Descriptors", {}};
  for (int count = 3; count <= 24; ++count) descriptors.ways.push_back(fmt::format("ulimit -n {}", count));
  return {memory, threads, disk, file_size, descriptors};
}

std::string quoted(const std::string& text) { return "'" + text + "'"; }

/// With caches that are empty: what compiles is what runs short.
void expect_an_outcome(const Command& command, const std::string& way) {
  const support::TempDir folder;
  std::string line = way + "; exec timeout -k 2 " + std::to_string(kMostSeconds);
  for (const std::string& argument : command.arguments) {
    line += " " + quoted(argument == "OUT" ? folder.file("out.gguf") : argument);
  }
  SCOPED_TRACE(line);
  std::filesystem::create_directory(folder.file("cache"));
  const auto result =
      support::run_program({"/bin/bash", "-c", line}, {.environment = {"XDG_CACHE_HOME=" + folder.file("cache")}});
  EXPECT_FALSE(result.signalled);
  EXPECT_THAT(result.err, Not(HasSubstr("unexpected")));
  if (result.exit_code == 127 || result.exit_code == 126) return;  // the loader itself, or timeout, ran short
  EXPECT_THAT(result.exit_code, testing::AnyOf(0, 1)) << result.err;
  if (result.exit_code == 0) return;
  EXPECT_THAT(result.err, HasSubstr("error: "));
  EXPECT_FALSE(std::filesystem::exists(folder.file("out.gguf")));
  // A verdict about the machine does not come from a shortage.
  const std::string probes = folder.file("cache/gguf-fuse/probes");
  if (!std::filesystem::exists(probes)) return;
  for (const std::string& name : support::list_folder(probes)) {
    EXPECT_THAT(support::read_text(probes + "/" + name), Not(HasSubstr("signal")));
  }
}

class ShortageTest : public testing::TestWithParam<Shortage> {};

TEST_P(ShortageTest, EndsWithAnAnswer) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer needs more than that";
  std::vector<std::pair<Command, std::string>> grid;
  for (const Command& command : commands()) {
    for (const std::string& way : GetParam().ways) grid.emplace_back(command, way);
  }
  const bool whole = support::whole_grid();
  const std::uint64_t chosen = support::changing_seed();
  SCOPED_TRACE(fmt::format("GGUF_FUSE_TEST_SEED={}", chosen));
  std::shuffle(grid.begin(), grid.end(), std::mt19937_64(chosen));
  const auto begin = Clock::now();
  std::size_t done = 0;
  for (const auto& [command, way] : grid) {
    if (!whole && Clock::now() - begin > kSampled) break;
    expect_an_outcome(command, way);
    ++done;
  }
  RecordProperty("cases", static_cast<int>(done));
}

INSTANTIATE_TEST_SUITE_P(Of, ShortageTest, testing::ValuesIn(shortages()),
                         [](const auto& instance) { return instance.param.kind; });

// The next start, without the shortage, is as fast as ever.
TEST(Shortage, LeavesNoVerdict) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer needs more than that";
  const support::TempDir folder;
  const support::RunOptions options{.environment = {"XDG_CACHE_HOME=" + folder.path().string()}};
  const Command run = commands().front();
  std::string line = "ulimit -v 450000; exec timeout -k 2 60";
  for (const std::string& argument : run.arguments) line += " " + quoted(argument);
  EXPECT_FALSE(support::run_program({"/bin/bash", "-c", line}, options).signalled);
  const auto list = [&] {
    const std::string probes = folder.file("gguf-fuse/probes");
    return std::filesystem::exists(probes) ? support::list_folder(probes) : std::vector<std::string>();
  };
  EXPECT_THAT(list(), testing::IsEmpty());
}

}  // namespace
}  // namespace gguf_fuse::cli
