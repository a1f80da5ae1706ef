// SPDX-License-Identifier: MIT
#pragma once

#include <map>
#include <span>
#include <vector>

#include "engine/page_pool.hpp"
#include "gguf_fuse/kernels/attention.hpp"
#include "gguf_fuse/kernels/device.hpp"
#include "gguf_fuse/runtime/namespace.hpp"

namespace gguf_fuse::runtime::detail {

inline constexpr std::uint32_t kNoPage = ~std::uint32_t{0};
/// A window gives pages back this late, so that what a conversation takes back can be looked at again.
inline constexpr std::uint32_t kSlackPages = 8;

/// Pages that so many positions take.
[[nodiscard]] constexpr std::uint32_t pages_of(std::uint32_t positions) {
  return positions / kPageTokens + (positions % kPageTokens != 0);
}

/// A buffer for what is kept of sequences: a shorter context, or fewer of them, help. Errors: OutOfDeviceMemory,
/// BufferTooLarge.
[[nodiscard]] Result<Buffer> allocate_cache(const Device& device, std::uint64_t bytes);

/// The pages that a sequence holds in a group of layers: entry i is that of positions i * kPageTokens and on, or
/// kNoPage where it was given back.
struct HeldPages {
  std::vector<std::uint32_t> pages{};
  std::uint32_t first = 0;  ///< entries before it were given back
  std::uint32_t told = 0;   ///< entries before it stand in the tables
};

/// Layers whose caches hold the same positions of each sequence, since they have the same window: they share page
/// numbers, and the table of pages on each device.
class PageGroup {
 public:
  /// A table has `sequences` rows of `row` entries. A sequence alone never needs more than `limit` pages.
  PageGroup(std::uint32_t window, std::uint32_t limit, std::uint32_t sequences, std::uint32_t row)
      : window_(window), sequences_(sequences), row_(row), pool_(limit) {}

  [[nodiscard]] std::uint32_t window() const { return window_; }
  [[nodiscard]] PagePool& pool() { return pool_; }

  /// Has the caches of a layer looked after, whose shapes are set but for pages. Errors: OutOfDeviceMemory,
  /// BufferTooLarge, OpenClFailed.
  [[nodiscard]] Result<void> add(const Device& device, Cache& cache);
  /// Bytes on a device once the pool has grown to its limit. Errors: BufferTooLarge (a cache that cannot).
  [[nodiscard]] Result<std::uint64_t> most_bytes(const Device& device) const;
  /// Allocates so many pages in all caches; what they hold stays. Errors: as add; everything is as before then.
  [[nodiscard]] Result<void> grow(std::uint32_t pages);
  [[nodiscard]] std::uint64_t bytes() const;
  /// Whether operations are to get the caches' new buffers, until they have them.
  [[nodiscard]] bool moved() const { return moved_; }
  void set_bound() { moved_ = false; }

  /// Sees to it that positions from `position` to `end` of a sequence have pages of their own, and that the tables say
  /// so. Pages have to be free and allocated. Errors: OpenClFailed; it can be called again then.
  [[nodiscard]] Result<void> hold(HeldPages& held, std::uint32_t sequence, std::uint32_t position, std::uint32_t end);
  /// What a sequence is to hold.
  struct Demand {
    const HeldPages* held;
    std::uint32_t position, end;
  };
  /// How many pages hold() would take of all of them, one after the other.
  [[nodiscard]] std::uint64_t needed(std::span<const Demand> demands) const;
  /// Gives back the pages behind `count` positions, and those that lie before every window from there on.
  void release_behind(HeldPages& held, std::uint32_t count);
  void release_before_window(HeldPages& held, std::uint32_t count);
  /// Whether keys and values that a token at position `count` looks at are there.
  [[nodiscard]] bool sees_all(const HeldPages& held, std::uint32_t count) const;
  /// The pages of the first `count` positions, held by both from now on.
  void share(const HeldPages& from, HeldPages& to, std::uint32_t count);

 private:
  struct Layer {
    const Device* device;
    Cache* cache;
  };

  [[nodiscard]] std::uint32_t window_begin(std::uint32_t position) const;
  /// Whether the page of a position has other holders, too: it is copied when it is written to.
  [[nodiscard]] bool is_shared(const HeldPages& held, std::uint32_t position) const;
  [[nodiscard]] Result<void> copy_page(std::uint32_t from, std::uint32_t to) const;
  /// Writes what the tables do not have.
  [[nodiscard]] Result<void> tell(HeldPages& held, std::uint32_t sequence) const;

  std::uint32_t window_, sequences_, row_;
  PagePool pool_;
  std::vector<Layer> layers_;
  bool moved_ = false;
  std::map<const Device*, Buffer> tables_;
};

}  // namespace gguf_fuse::runtime::detail
