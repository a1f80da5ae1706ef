// SPDX-License-Identifier: MIT
#include "engine/page_pool.hpp"

#include <algorithm>

namespace gguf_fuse::runtime::detail {

std::uint32_t PagePool::free() const { return limit_ - allocated() + static_cast<std::uint32_t>(free_.size()); }

std::uint32_t PagePool::wanted(std::uint32_t more) const {
  const auto unused = static_cast<std::uint32_t>(free_.size());
  if (more <= unused) return allocated();
  return std::min(limit_, std::max(allocated() + more - unused, 2 * allocated()));
}

void PagePool::grow(std::uint32_t pages) {
  // In ascending order, so that a sequence alone has its pages one behind the other.
  std::vector<std::uint32_t> added;
  for (std::uint32_t page = pages; page > allocated(); --page) added.push_back(page - 1);
  free_.insert(free_.begin(), added.begin(), added.end());
  holders_.resize(pages, 0);
}

std::optional<std::uint32_t> PagePool::take() {
  if (free_.empty()) return std::nullopt;
  const std::uint32_t page = free_.back();
  free_.pop_back();
  holders_[page] = 1;
  return page;
}

void PagePool::release(std::uint32_t page) {
  if (--holders_[page] == 0) free_.push_back(page);
}

}  // namespace gguf_fuse::runtime::detail
