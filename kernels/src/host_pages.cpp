// SPDX-License-Identifier: MIT
#include "host_pages.hpp"

#include <sys/mman.h>

namespace gguf_fuse::kernels::detail {

void Unmap::operator()(void* address) const noexcept { ::munmap(address, bytes); }

HostPages allocate_pages(std::uint64_t bytes) noexcept {
  const std::size_t size = (bytes + kLargePageBytes - 1) / kLargePageBytes * kLargePageBytes;
  void* all = ::mmap(nullptr, size + kLargePageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED) return {};
  // What lies before the first whole large page and behind the last one goes back.
  auto* const begin = static_cast<std::byte*>(all);
  const std::size_t before =
      (kLargePageBytes - reinterpret_cast<std::uintptr_t>(all) % kLargePageBytes) % kLargePageBytes;
  if (before > 0) ::munmap(begin, before);
  ::munmap(begin + before + size, kLargePageBytes - before);
  ::madvise(begin + before, size, MADV_HUGEPAGE);  // only a wish
  return HostPages(begin + before, Unmap{size});
}

}  // namespace gguf_fuse::kernels::detail
