// SPDX-License-Identifier: MIT
#include "gguf_fuse/loader/page_cache.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "file_io.hpp"
#include "gguf_fuse/loader/model.hpp"
#include "gguf_fuse/loader/page_bytes.hpp"

namespace gguf_fuse::loader {
namespace {

constexpr std::uint64_t kSamples = 64;
constexpr std::uint64_t kSamplePages = 16;

/// Pages of [first, first + count) of the file that are in the page cache.
std::optional<std::uint64_t> cached_pages(int descriptor, std::uint64_t first, std::uint64_t count) {
  const std::size_t bytes = count * kPageBytes;
  void* mapping = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, descriptor, static_cast<off_t>(first * kPageBytes));
  if (mapping == MAP_FAILED) return std::nullopt;
  std::array<unsigned char, kSamplePages> present{};
  const bool told = ::mincore(mapping, bytes, present.data()) == 0;
  ::munmap(mapping, bytes);
  if (!told) return std::nullopt;
  return static_cast<std::uint64_t>(
      std::count_if(present.begin(), present.end(), [](unsigned char page) { return (page & 1U) != 0; }));
}

}  // namespace

std::optional<double> cached_share(const std::string& path) {
  struct stat status {};
  // Opening is not harmless for every file; O_NONBLOCK is for a pipe that takes the name's place in between.
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file.valid() || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  const std::uint64_t pages = (static_cast<std::uint64_t>(status.st_size) + kPageBytes - 1) / kPageBytes;
  if (pages == 0) return std::nullopt;
  const std::uint64_t samples = std::clamp<std::uint64_t>(pages / kSamplePages, 1, kSamples);
  std::uint64_t looked_at = 0, there = 0;
  for (std::uint64_t i = 0; i < samples; ++i) {
    const std::uint64_t first = pages / samples * i;
    const std::uint64_t count = std::min(kSamplePages, pages - first);
    const auto cached = cached_pages(file.get(), first, count);
    if (!cached) return std::nullopt;
    looked_at += count;
    there += *cached;
  }
  return static_cast<double>(there) / static_cast<double>(looked_at);
}

LoadMode fastest_load_mode(const std::string& path) {
  constexpr double kMost = 0.5;
  const auto name = parse_shard_name(path);
  const std::size_t count = name ? name->count : 1;
  double cached = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto share = cached_share(name ? shard_path(name->prefix, i, count) : path);
    if (!share) return LoadMode::Read;
    cached += *share;
  }
  return cached < kMost * static_cast<double>(count) ? LoadMode::Direct : LoadMode::Read;
}

}  // namespace gguf_fuse::loader
