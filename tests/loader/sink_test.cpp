// SPDX-License-Identifier: MIT
#include "gguf_fuse/loader/sink.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <thread>

#include "support/file_util.hpp"
#include "support/random.hpp"
#include "support/temp_dir.hpp"

namespace gguf_fuse::loader {
namespace {

using support::bytes_of;
using support::list_folder;
using support::read_text;
using support::TempDir;
using support::write_text;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Bytes = std::vector<std::byte>;

Bytes random_bytes(std::size_t count) {
  Bytes bytes(count);
  support::Random(1).fill(bytes);
  return bytes;
}

std::unique_ptr<Sink> open_sink(const std::string& path, const FileSinkOptions& options = {}) {
  auto sink = file_sink(path, options);
  EXPECT_TRUE(sink) << sink.error().message();
  return sink ? std::move(*sink) : nullptr;
}

ErrorCode code_of(const std::string& path, const FileSinkOptions& options = {}) {
  const auto sink = file_sink(path, options);
  EXPECT_FALSE(sink);
  return sink ? ErrorCode::BadMagic : sink.error().code;
}

// The exit status of `child` run in a process of its own.
int in_child(const std::function<int()>& child) {
  const pid_t process = fork();
  if (process == 0) _exit(child());
  int status = -1;
  waitpid(process, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

// A filesystem mounted on a folder, for as long as this lives; only root can do that.
class Mount {
 public:
  Mount(const char* what, std::string where, const char* type, unsigned long flags, const char* options)
      : where_(std::move(where)), mounted_(mount(what, where_.c_str(), type, flags, options) == 0) {}
  ~Mount() {
    if (mounted_) umount2(where_.c_str(), MNT_DETACH);
  }
  Mount(const Mount&) = delete;
  Mount& operator=(const Mount&) = delete;
  [[nodiscard]] bool mounted() const { return mounted_; }

 private:
  std::string where_;
  bool mounted_;
};

TEST(FileSink, AppearsOnlyWhenCommitted) {
  const TempDir dir;
  auto sink = open_sink(dir.file("out.gguf"), {.bytes = 10});
  ASSERT_TRUE(sink);
  EXPECT_THAT(list_folder(dir.path()), ElementsAre(".out.gguf.gguf-fuse." + std::to_string(getpid())));
  EXPECT_TRUE(sink->write_at(5, bytes_of("56789")));
  EXPECT_TRUE(sink->write_at(0, bytes_of("01234")));
  sink->settle(0, 10);
  EXPECT_FALSE(std::filesystem::exists(dir.file("out.gguf")));
  const auto written = sink->read_back();
  ASSERT_TRUE(written);
  EXPECT_EQ(written->size(), 10U);
  Bytes out(10);
  EXPECT_TRUE(written->read_at(0, out));
  ASSERT_TRUE(sink->commit());
  EXPECT_THAT(list_folder(dir.path()), ElementsAre("out.gguf"));
  EXPECT_EQ(read_text(dir.file("out.gguf")), "0123456789");
  EXPECT_EQ(sink->path(), dir.file("out.gguf"));
  sink.reset();
  EXPECT_THAT(list_folder(dir.path()), ElementsAre("out.gguf"));
}

TEST(FileSink, LeavesNothingWithoutCommit) {
  const TempDir dir;
  {
    auto sink = open_sink(dir.file("out"));
    EXPECT_TRUE(sink->write_at(0, bytes_of("partial")));
  }
  EXPECT_THAT(list_folder(dir.path()), IsEmpty());
}

TEST(FileSink, ThreadsWriteAtTheSameTime) {
  const TempDir dir;
  const Bytes content = random_bytes(4 << 20);
  auto sink = open_sink(dir.file("out"), {.bytes = content.size()});
  std::vector<std::thread> threads;
  for (std::size_t first = 0; first < 4; ++first) {
    threads.emplace_back([&, first] {
      constexpr std::size_t kPiece = 40'000;
      for (std::size_t at = first * kPiece; at < content.size(); at += 4 * kPiece) {
        EXPECT_TRUE(sink->write_at(at, std::span(content).subspan(at, std::min(kPiece, content.size() - at))));
        sink->settle(at, kPiece);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(sink->commit());
  EXPECT_EQ(support::read_file(dir.file("out")), content);
}

TEST(FileSink, GivesBackWhatWasAllocatedTooMuch) {
  const TempDir dir;
  auto sink = open_sink(dir.file("out"), {.bytes = 1 << 20});
  EXPECT_TRUE(sink->write_at(0, bytes_of("short")));
  ASSERT_TRUE(sink->commit());
  struct stat status {};
  ASSERT_EQ(stat(dir.file("out").c_str(), &status), 0);
  EXPECT_EQ(status.st_size, 5);
  EXPECT_LT(status.st_blocks * 512, 65536);
}

TEST(FileSink, CopiesInsideTheKernelCount) {
  const TempDir dir;
  write_text(dir.file("in"), "0123456789");
  const auto source = open_source(dir.file("in"));
  auto sink = open_sink(dir.file("out"), {.bytes = 4});
  loff_t from = 3;
  loff_t to = 0;
  ASSERT_EQ(copy_file_range((*source)->descriptor(), &from, sink->descriptor(), &to, 4, 0), 4);
  ASSERT_TRUE(sink->commit());
  EXPECT_EQ(read_text(dir.file("out")), "3456");
}

TEST(FileSink, NeverOverwrites) {
  const TempDir dir;
  write_text(dir.file("out"), "precious");
  const auto refused = file_sink(dir.file("out"), {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::OutputExists);
  EXPECT_THAT(refused.error().message(), HasSubstr("--force"));
  // Also when it appears while we write.
  auto sink = open_sink(dir.file("late"));
  EXPECT_TRUE(sink->write_at(0, bytes_of("ours")));
  write_text(dir.file("late"), "theirs");
  EXPECT_EQ(sink->commit().error().code, ErrorCode::OutputExists);
  EXPECT_EQ(read_text(dir.file("out")), "precious");
  EXPECT_EQ(read_text(dir.file("late")), "theirs");
  EXPECT_THAT(list_folder(dir.path()), ElementsAre("late", "out"));
}

TEST(FileSink, ReplacesAndKeepsTheMode) {
  const TempDir dir;
  write_text(dir.file("out"), "a longer old text");
  chmod(dir.file("out").c_str(), 0640);
  auto sink = open_sink(dir.file("out"), {.replace = true, .bytes = 3});
  EXPECT_TRUE(sink->write_at(0, bytes_of("new")));
  EXPECT_EQ(read_text(dir.file("out")), "a longer old text");
  ASSERT_TRUE(sink->commit());
  EXPECT_EQ(read_text(dir.file("out")), "new");
  struct stat status {};
  stat(dir.file("out").c_str(), &status);
  EXPECT_EQ(status.st_mode & 07777, 0640U);
  ASSERT_TRUE(open_sink(dir.file("fresh"), {.replace = true})->commit());
}

TEST(FileSink, HonoursTheUmask) {
  const TempDir dir;
  const mode_t before = umask(027);
  ASSERT_TRUE(open_sink(dir.file("out"))->commit());
  umask(before);
  struct stat status {};
  stat(dir.file("out").c_str(), &status);
  EXPECT_EQ(status.st_mode & 07777, 0640U);
}

TEST(FileSink, ReplacesWhatALinkPointsTo) {
  const TempDir dir;
  std::filesystem::create_directory(dir.file("real"));
  write_text(dir.file("real/out"), "old");
  std::filesystem::create_symlink("real/out", dir.file("link"));
  EXPECT_EQ(code_of(dir.file("link")), ErrorCode::OutputExists);
  auto sink = open_sink(dir.file("link"), {.replace = true});
  EXPECT_TRUE(sink->write_at(0, bytes_of("new")));
  ASSERT_TRUE(sink->commit());
  EXPECT_TRUE(std::filesystem::is_symlink(dir.file("link")));
  EXPECT_EQ(read_text(dir.file("real/out")), "new");
  std::filesystem::create_symlink("nowhere", dir.file("dangling"));
  EXPECT_EQ(code_of(dir.file("dangling")), ErrorCode::OutputExists);
  EXPECT_EQ(code_of(dir.file("dangling"), {.replace = true}), ErrorCode::OpenFailed);
}

TEST(FileSink, RefusesWhatCannotBeAnOutput) {
  const TempDir dir;
  ASSERT_EQ(mkfifo(dir.file("pipe").c_str(), 0600), 0);
  for (const std::string& path : {dir.path().string(), dir.file("pipe"), std::string("/dev/null")}) {
    EXPECT_EQ(code_of(path, {.replace = true}), ErrorCode::NotAFile) << path;
  }
  EXPECT_EQ(code_of(""), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of(dir.file("new/")), ErrorCode::OpenFailed);
  EXPECT_EQ(code_of(dir.file("pipe/out")), ErrorCode::OpenFailed);
  const auto lost = file_sink(dir.file("missing/out"), {});
  ASSERT_FALSE(lost);
  EXPECT_THAT(lost.error().message(), HasSubstr("make the folder " + dir.file("missing")));
}

TEST(FileSink, LongNames) {
  const TempDir dir;
  const std::string name(255, 'n');
  ASSERT_TRUE(open_sink(dir.file(name))->commit());
  EXPECT_THAT(list_folder(dir.path()), ElementsAre(name));
}

TEST(FileSink, StaysInItsFolderWhenTheWorkingFolderChanges) {
  const TempDir dir;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(dir.path());
  auto sink = open_sink("out");
  std::filesystem::current_path(before);
  ASSERT_TRUE(sink->commit());
  EXPECT_THAT(list_folder(dir.path()), ElementsAre("out"));
}

TEST(FileSink, RoomIsTestedFirst) {
  const TempDir dir;
  const auto sink = file_sink(dir.file("out"), {.bytes = std::uint64_t{1} << 60});
  ASSERT_FALSE(sink);
  EXPECT_EQ(sink.error().code, ErrorCode::NoSpace);
  EXPECT_EQ(sink.error().expected, "1152921504606846976 free bytes");
  EXPECT_THAT(list_folder(dir.path()), IsEmpty());
}

TEST(FileSink, FullDisk) {
  const TempDir dir;
  const Mount small("tmpfs", dir.path().string(), "tmpfs", 0, "size=1m");
  if (!small.mounted()) GTEST_SKIP() << "needs root to mount";
  EXPECT_EQ(code_of(dir.file("out"), {.bytes = 2 << 20}), ErrorCode::NoSpace);
  {
    auto sink = open_sink(dir.file("out"));
    const auto written = sink->write_at(0, random_bytes(2 << 20));
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().code, ErrorCode::NoSpace);
    EXPECT_EQ(written.error().expected.substr(written.error().expected.find(' ')), " free bytes");
  }
  EXPECT_THAT(list_folder(dir.path()), IsEmpty());
  setenv("TMPDIR", dir.path().c_str(), 1);
  EXPECT_EQ(temporary_sink(2 << 20).error().code, ErrorCode::NoSpace);
  const Bytes large = random_bytes(2 << 20);
  const auto spooled = spool(memory_source(large, "large"));
  ASSERT_FALSE(spooled);
  EXPECT_EQ(spooled.error().code, ErrorCode::NoSpace);
  EXPECT_THAT(spooled.error().message(), HasSubstr("TMPDIR"));
  unsetenv("TMPDIR");
}

TEST(FileSink, FileSizeLimitIsAnErrorAndNotASignal) {
  const TempDir dir;
  const auto limited = [&](const std::function<ErrorCode()>& write) {
    return in_child([&] {
      const rlimit limit{1 << 20, 1 << 20};
      setrlimit(RLIMIT_FSIZE, &limit);
      return static_cast<int>(write());
    });
  };
  const int expected = static_cast<int>(ErrorCode::FileTooLarge);
  EXPECT_EQ(limited([&] { return code_of(dir.file("out"), {.bytes = 2 << 20}); }), expected);
  EXPECT_EQ(limited([&] { return open_sink(dir.file("out"))->write_at(0, random_bytes(2 << 20)).error().code; }),
            expected);
  EXPECT_EQ(limited([&] {
              const int file = open(dir.file("redirected").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
              return (*descriptor_sink(file, "-"))->write_at(0, random_bytes(2 << 20)).error().code;
            }),
            expected);
  EXPECT_THAT(list_folder(dir.path()), ElementsAre("redirected"));
}

TEST(StaleTemporaries, OnlyThoseNobodyWrites) {
  const TempDir dir;
  const std::string dead = ".out.gguf-fuse.1";  // that process lives, but holds no lock
  const std::string held = ".out.gguf-fuse.999999999";
  for (const std::string name :
       {dead.c_str(), held.c_str(), ".out.gguf-fuse.12x", ".out.gguf-fuse.", ".other.gguf-fuse.1"}) {
    write_text(dir.file(name), "x");
  }
  const int locked = open(dir.file(held).c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(flock(locked, LOCK_EX), 0);
  auto living = open_sink(dir.file("out"));
  EXPECT_THAT(remove_stale_temporaries(dir.file("out")), ElementsAre(dir.file(dead)));
  ASSERT_TRUE(living->commit());
  EXPECT_THAT(list_folder(dir.path()),
              ElementsAre(".other.gguf-fuse.1", ".out.gguf-fuse.", ".out.gguf-fuse.12x", held, "out"));
  close(locked);
  EXPECT_THAT(remove_stale_temporaries(dir.file("out")), ElementsAre(dir.file(held)));
  EXPECT_THAT(remove_stale_temporaries(dir.file("missing/out")), IsEmpty());
}

TEST(StaleTemporaries, OneOfOurOwnNumberIsTakenOver) {
  const TempDir dir;
  const std::string name = ".out.gguf-fuse." + std::to_string(getpid());
  write_text(dir.file(name), "left by a process that had our number");
  auto first = open_sink(dir.file("out"));
  ASSERT_TRUE(first);
  EXPECT_EQ(first->read_back()->size(), 0U);
  EXPECT_EQ(code_of(dir.file("out")), ErrorCode::OutputExists);  // two of the same process do not meet
  ASSERT_TRUE(first->commit());
}

TEST(StaleTemporaries, KilledWriter) {
  const TempDir dir;
  EXPECT_EQ(in_child([&] {
              const auto sink = open_sink(dir.file("out"));
              return raise(SIGKILL);
            }),
            1000 + SIGKILL);
  EXPECT_EQ(list_folder(dir.path()).size(), 1U);
  EXPECT_EQ(remove_stale_temporaries(dir.file("out")).size(), 1U);
  EXPECT_THAT(list_folder(dir.path()), IsEmpty());
}

TEST(SameFile, ThroughEveryAlias) {
  const TempDir dir;
  write_text(dir.file("a"), "x");
  write_text(dir.file("b"), "x");
  std::filesystem::create_hard_link(dir.file("a"), dir.file("hard"));
  std::filesystem::create_symlink("a", dir.file("soft"));
  EXPECT_TRUE(same_file(dir.file("a"), dir.file("a")));
  EXPECT_TRUE(same_file(dir.file("a"), dir.path().string() + "/./../" + dir.path().filename().string() + "/a"));
  EXPECT_TRUE(same_file(dir.file("a"), dir.file("hard")));
  EXPECT_TRUE(same_file(dir.file("soft"), dir.file("a")));
  EXPECT_FALSE(same_file(dir.file("a"), dir.file("b")));
  EXPECT_FALSE(same_file(dir.file("a"), dir.file("missing")));
  EXPECT_FALSE(same_file(dir.file("missing"), dir.file("missing")));
  const TempDir other;
  const Mount bound(dir.path().c_str(), other.path().string(), nullptr, MS_BIND, nullptr);
  if (!bound.mounted()) GTEST_SKIP() << "needs root to mount";
  EXPECT_TRUE(same_file(dir.file("a"), other.file("a")));
}

TEST(TemporarySink, IsAFileWithoutAName) {
  const TempDir dir;
  setenv("TMPDIR", dir.path().c_str(), 1);
  auto sink = temporary_sink(100);
  ASSERT_TRUE(sink) << sink.error().message();
  EXPECT_FALSE((*sink)->sequential());
  EXPECT_THAT(list_folder(dir.path()), IsEmpty());
  EXPECT_TRUE((*sink)->write_at(3, bytes_of("345")));
  EXPECT_TRUE((*sink)->write_at(0, bytes_of("012")));
  const auto source = (*sink)->read_back();
  EXPECT_TRUE((*sink)->commit());
  sink->reset();
  EXPECT_EQ(source->size(), 6U);
  Bytes out(6);
  EXPECT_TRUE(source->read_at(0, out));
  EXPECT_TRUE(std::ranges::equal(out, bytes_of("012345")));
  unsetenv("TMPDIR");
}

}  // namespace
}  // namespace gguf_fuse::loader
