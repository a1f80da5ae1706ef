// SPDX-License-Identifier: MIT
#include "gguf_fuse/loader/source.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <thread>

#include "support/file_util.hpp"
#include "support/random.hpp"
#include "support/temp_dir.hpp"

namespace gguf_fuse::loader {
namespace {

using support::bytes_of;
using support::TempDir;
using Bytes = std::vector<std::byte>;

Bytes random_bytes(std::size_t count, std::uint64_t seed = 1) {
  Bytes bytes(count);
  support::Random(seed).fill(bytes);
  return bytes;
}

// Everything a source holds, in pieces of `step`.
Result<Bytes> read_all(Source& source, std::size_t step = 1000) {
  Bytes all;
  for (;;) {
    Bytes piece(step);
    GGUF_FUSE_ASSIGN(const std::size_t got, source.read_up_to(all.size(), piece));
    all.insert(all.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(got));
    if (got < step) return all;
  }
}

class FileModes : public testing::TestWithParam<LoadMode> {};
INSTANTIATE_TEST_SUITE_P(All, FileModes, testing::Values(LoadMode::Read, LoadMode::Mmap, LoadMode::Direct));

TEST_P(FileModes, ReadsAnyRange) {
  const TempDir dir;
  const Bytes content = random_bytes(3'000'001);
  support::write_file(dir.file("a"), content);
  auto source = open_source(dir.file("a"), GetParam());
  ASSERT_TRUE(source) << source.error().message();
  EXPECT_EQ((*source)->size(), content.size());
  EXPECT_FALSE((*source)->sequential());
  Bytes buffer(content.size() + 1);
  support::Random random(7);
  for (int round = 0; round < 200; ++round) {
    const std::size_t offset = random.below(content.size() + 1);
    const std::size_t count = random.below(round < 150 ? std::min<std::size_t>(content.size() - offset + 1, 9000)
                                                       : content.size() - offset + 1);
    const std::span<std::byte> out = std::span(buffer).subspan(random.below(buffer.size() - count + 1), count);
    ASSERT_TRUE((*source)->read_at(offset, out)) << offset << "+" << count;
    ASSERT_TRUE(std::equal(out.begin(), out.end(), content.begin() + static_cast<std::ptrdiff_t>(offset)));
  }
  EXPECT_EQ(read_all(**source, 4096).value(), content);
  EXPECT_TRUE((*source)->check_unchanged());
}

TEST_P(FileModes, EndsExactly) {
  const TempDir dir;
  support::write_text(dir.file("a"), "0123456789");
  auto source = open_source(dir.file("a"), GetParam());
  ASSERT_TRUE(source);
  Bytes out(4);
  EXPECT_TRUE((*source)->read_at(6, out));
  const auto beyond = (*source)->read_at(7, out);
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().code, ErrorCode::Truncated);
  EXPECT_EQ(beyond.error().offset, 7);
  EXPECT_EQ(beyond.error().expected, "4 bytes");
  EXPECT_EQ(beyond.error().actual, "3");
  EXPECT_EQ((*source)->read_at(~std::uint64_t{0}, out).error().code, ErrorCode::Truncated);
  EXPECT_EQ((*source)->read_up_to(7, out), 3U);
  EXPECT_EQ((*source)->read_up_to(99, out), 0U);
  EXPECT_TRUE((*source)->read_at(10, {}));
}

TEST_P(FileModes, EmptyFile) {
  const TempDir dir;
  support::write_text(dir.file("a"), "");
  auto source = open_source(dir.file("a"), GetParam());
  ASSERT_TRUE(source) << source.error().message();
  EXPECT_EQ((*source)->size(), 0U);
  EXPECT_EQ((*source)->read_tail(0)->bytes, 0U);
}

TEST_P(FileModes, NoticesChanges) {
  const TempDir dir;
  support::write_file(dir.file("a"), random_bytes(10'000));
  auto source = open_source(dir.file("a"), GetParam());
  ASSERT_TRUE(source);
  EXPECT_TRUE((*source)->check_unchanged());
  std::filesystem::resize_file(dir.file("a"), 5000);
  const auto changed = (*source)->check_unchanged();
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().code, ErrorCode::InputChanged);
  EXPECT_EQ(changed.error().expected, "10000 bytes");
  // A file cut short is never read past its new end: neither wrong bytes nor SIGBUS.
  Bytes out(10'000);
  EXPECT_EQ((*source)->read_at(0, out).error().code, ErrorCode::InputChanged);
}

TEST(FileSource, NoticesAnotherTimeOfTheSameSize) {
  const TempDir dir;
  support::write_text(dir.file("a"), "abcd");
  auto source = open_source(dir.file("a"));
  const timespec times[2] = {{0, UTIME_OMIT}, {1'000'000'000, 1}};
  ASSERT_EQ(utimensat(AT_FDCWD, dir.file("a").c_str(), times, 0), 0);
  EXPECT_EQ((*source)->check_unchanged().error().code, ErrorCode::InputChanged);
}

TEST(FileSource, ThreadsReadAtTheSameTime) {
  const TempDir dir;
  const Bytes content = random_bytes(2'000'000);
  support::write_file(dir.file("a"), content);
  auto source = open_source(dir.file("a"), LoadMode::Direct);
  std::vector<std::thread> threads;
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    threads.emplace_back([&, seed] {
      support::Random random(seed);
      Bytes out(33'333);
      for (int round = 0; round < 50; ++round) {
        const std::size_t offset = random.below(content.size() - out.size());
        EXPECT_TRUE((*source)->read_at(offset, out));
        EXPECT_EQ(std::memcmp(out.data(), content.data() + offset, out.size()), 0);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(OpenSource, RefusesWhatIsNotAFile) {
  const TempDir dir;
  ASSERT_EQ(mkfifo(dir.file("pipe").c_str(), 0600), 0);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{AF_UNIX, {}};
  std::strncpy(address.sun_path, dir.file("socket").c_str(), sizeof(address.sun_path) - 1);
  ASSERT_EQ(bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  for (const auto& [path, kind] : {std::pair{dir.path().string(), "a directory"},
                                   {dir.file("pipe"), "a pipe"},
                                   {dir.file("socket"), "a socket"},
                                   {std::string("/dev/zero"), "a character device"}}) {
    const auto source = open_source(path);
    ASSERT_FALSE(source) << path;
    EXPECT_EQ(source.error().code, ErrorCode::NotAFile) << path;
    EXPECT_EQ(source.error().actual, kind) << path;
    EXPECT_NE(source.error().message().find("give a GGUF file"), std::string::npos);
  }
  close(socket);
  EXPECT_EQ(open_source(dir.file("missing")).error().code, ErrorCode::OpenFailed);
  EXPECT_EQ(open_source("").error().code, ErrorCode::OpenFailed);
}

TEST(MemorySource, IsAFileInMemory) {
  const auto source = memory_source(bytes_of("abcdef"), "name");
  Bytes out(3);
  EXPECT_TRUE(source->read_at(3, out));
  EXPECT_EQ(std::memcmp(out.data(), "def", 3), 0);
  EXPECT_EQ(source->read_at(4, out).error().code, ErrorCode::Truncated);
  EXPECT_EQ(source->read_up_to(5, out), 1U);
  EXPECT_EQ(source->size(), 6U);
  EXPECT_EQ(source->path(), "name");
  EXPECT_TRUE(source->check_unchanged());
  EXPECT_FALSE(source->read_tail(1)->all_zero);
}

}  // namespace
}  // namespace gguf_fuse::loader
