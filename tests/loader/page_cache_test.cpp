// SPDX-License-Identifier: MIT
#include "gguf_fuse/loader/page_cache.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <vector>

#include "support/file_util.hpp"
#include "support/random.hpp"
#include "support/temp_dir.hpp"

namespace gguf_fuse::loader {
namespace {

using support::TempDir;

constexpr std::size_t kBytes = std::size_t{8} << 20;

/// Writes a file through to the disk and then asks the system to forget it; whether it did.
bool write_forgotten(const std::string& path, std::size_t bytes = kBytes) {
  std::vector<std::byte> content(bytes);
  support::Random(1).fill(content);
  support::write_file(path, content);
  const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  ::fsync(file);
  ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
  ::close(file);
  return cached_share(path).value_or(1) < 0.1;
}

TEST(PageCache, TellsWhatIsThere) {
  const TempDir dir;
  const std::string path = dir.file("file");
  if (!write_forgotten(path)) GTEST_SKIP() << "this filesystem keeps everything in memory";
  EXPECT_EQ(cached_share(path), 0.0);
  EXPECT_EQ(cached_share(path), 0.0) << "looking must not bring anything in";
  EXPECT_EQ(fastest_load_mode(path), LoadMode::Direct);
  const auto all = support::read_file(path);
  EXPECT_EQ(all.size(), kBytes);
  EXPECT_GT(cached_share(path).value_or(0), 0.9);
  EXPECT_EQ(fastest_load_mode(path), LoadMode::Read);
}

TEST(PageCache, SeesHalfOfAFile) {
  const TempDir dir;
  const std::string path = dir.file("file");
  if (!write_forgotten(path)) GTEST_SKIP() << "this filesystem keeps everything in memory";
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  ::posix_fadvise(file, 0, 0, POSIX_FADV_RANDOM);  // no reading ahead
  std::vector<std::byte> half(kBytes / 2);
  ASSERT_EQ(::pread(file, half.data(), half.size(), 0), static_cast<ssize_t>(half.size()));
  ::close(file);
  EXPECT_NEAR(cached_share(path).value_or(0), 0.5, 0.1);
}

TEST(PageCache, CountsAllShards) {
  const TempDir dir;
  std::vector<std::string> paths;
  for (int i = 1; i <= 3; ++i) paths.push_back(dir.file("model-0000" + std::to_string(i) + "-of-00003.gguf"));
  for (const std::string& path : paths) {
    if (!write_forgotten(path)) GTEST_SKIP() << "this filesystem keeps everything in memory";
  }
  EXPECT_EQ(support::read_file(paths[1]).size(), kBytes);
  // One of three is there, whichever is named.
  EXPECT_EQ(fastest_load_mode(paths[0]), LoadMode::Direct);
  EXPECT_EQ(fastest_load_mode(paths[1]), LoadMode::Direct);
  EXPECT_EQ(support::read_file(paths[2]).size(), kBytes);
  EXPECT_EQ(fastest_load_mode(paths[0]), LoadMode::Read);
}

TEST(PageCache, WhatIsNoFileHasNoShare) {
  const TempDir dir;
  EXPECT_EQ(cached_share(dir.path().string()), std::nullopt);
  EXPECT_EQ(cached_share(dir.file("missing")), std::nullopt);
  EXPECT_EQ(cached_share("-"), std::nullopt);
  support::write_text(dir.file("empty"), "");
  EXPECT_EQ(cached_share(dir.file("empty")), std::nullopt);
  EXPECT_EQ(fastest_load_mode("-"), LoadMode::Read);
  EXPECT_EQ(fastest_load_mode(dir.file("missing")), LoadMode::Read);
}

TEST(PageCache, SmallFilesCanBeToldToo) {
  const TempDir dir;
  support::write_text(dir.file("small"), "x");
  EXPECT_EQ(cached_share(dir.file("small")), 1.0);
}

// Views of a mapping, what the loading of models reads from.
TEST(MappedSource, GivesViewsAndTakesThemBack) {
  const TempDir dir;
  std::vector<std::byte> content(100'000);
  support::Random(2).fill(content);
  support::write_file(dir.file("file"), content);
  auto opened = open_source(dir.file("file"), LoadMode::Mmap);
  ASSERT_TRUE(opened);
  Source& source = **opened;
  for (const auto& [offset, bytes] : {std::pair<std::uint64_t, std::size_t>{0, 100'000}, {1, 5000}, {99'999, 1}}) {
    for (int again = 0; again < 2; ++again) {
      const auto view = source.view(offset, bytes);
      ASSERT_TRUE(view);
      ASSERT_TRUE(*view);
      EXPECT_TRUE(std::equal((*view)->begin(), (*view)->end(), content.begin() + static_cast<std::ptrdiff_t>(offset)));
      EXPECT_EQ((*view)->size(), bytes);
      source.release(**view);
    }
  }
  for (const auto& [offset, bytes] : {std::pair<std::uint64_t, std::size_t>{100'000, 1}, {99'999, 2}, {~0ULL, 1}}) {
    const auto view = source.view(offset, bytes);
    ASSERT_FALSE(view);
    EXPECT_EQ(view.error().code, ErrorCode::Truncated);
  }
  ASSERT_EQ(::truncate(dir.file("file").c_str(), 50'000), 0);
  const auto gone = source.view(0, 60'000);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, ErrorCode::InputChanged);
}

TEST(MappedSource, OtherSourcesHaveNoViews) {
  const TempDir dir;
  support::write_text(dir.file("file"), "content");
  for (const LoadMode mode : {LoadMode::Read, LoadMode::Direct}) {
    const auto source = open_source(dir.file("file"), mode);
    ASSERT_TRUE(source);
    const auto view = (*source)->view(0, 1);
    ASSERT_TRUE(view);
    EXPECT_FALSE(*view);
  }
}

}  // namespace
}  // namespace gguf_fuse::loader
