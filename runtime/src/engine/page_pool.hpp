// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace gguf_fuse::runtime::detail {

/// Which pages of a cache are whose. Pages are numbers below allocated(); several sequences may hold the same one.
class PagePool {
 public:
  explicit PagePool(std::uint32_t limit) : limit_(limit) {}

  [[nodiscard]] std::uint32_t allocated() const { return static_cast<std::uint32_t>(holders_.size()); }
  [[nodiscard]] std::uint32_t limit() const { return limit_; }
  /// Pages that nobody holds, those that are not allocated yet included.
  [[nodiscard]] std::uint32_t free() const;
  /// Pages to allocate so that `more` can be taken: as many again as there are, at least.
  [[nodiscard]] std::uint32_t wanted(std::uint32_t more) const;
  void grow(std::uint32_t pages);

  /// A page that nobody holds; none where all that are allocated are taken.
  [[nodiscard]] std::optional<std::uint32_t> take();
  void share(std::uint32_t page) { ++holders_[page]; }
  /// How many hold a page.
  [[nodiscard]] std::uint32_t holders(std::uint32_t page) const { return holders_[page]; }
  void release(std::uint32_t page);

 private:
  std::uint32_t limit_;
  std::vector<std::uint32_t> holders_;  ///< of each page, how many
  std::vector<std::uint32_t> free_;     ///< those with none, the next one last
};

}  // namespace gguf_fuse::runtime::detail
