// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace gguf_fuse::kernels::detail {

struct Unmap {
  std::size_t bytes = 0;
  void operator()(void* address) const noexcept;
};

/// Host memory in large pages where the system has them: one token reads all weights once, and with small pages the
/// processor spends a good part of that time on looking addresses up (docs/performance.md).
using HostPages = std::unique_ptr<void, Unmap>;

/// From this size on buffers of CPU devices lie in large pages.
inline constexpr std::uint64_t kLargePageBytes = std::uint64_t{2} << 20;

/// `bytes` bytes, zero, aligned to a large page; null when the system refuses.
[[nodiscard]] HostPages allocate_pages(std::uint64_t bytes) noexcept;

}  // namespace gguf_fuse::kernels::detail
