// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

namespace gguf_fuse::loader {

/// What O_DIRECT wants: places and sizes in memory and in the file are multiples of it on every file system.
inline constexpr std::uint64_t kPageBytes = 4096;

struct FreeBytes {
  void operator()(std::byte* bytes) const { std::free(bytes); }
};
/// Memory that begins on a page and is not filled with zeros first.
using PageBytes = std::unique_ptr<std::byte, FreeBytes>;

/// At least `bytes` bytes, and whole pages; throws std::bad_alloc.
[[nodiscard]] inline PageBytes allocate_page_bytes(std::uint64_t bytes) {
  const std::uint64_t whole = (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
  PageBytes memory(static_cast<std::byte*>(std::aligned_alloc(kPageBytes, std::max(whole, kPageBytes))));
  if (!memory) throw std::bad_alloc();
  return memory;
}

}  // namespace gguf_fuse::loader
