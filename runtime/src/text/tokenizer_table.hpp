// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace gguf_fuse::runtime::detail {

/// A hash table of indices into arrays that somebody else holds: the caller gives the hash, and compares. It survives
/// the arrays' being moved or copied, and takes 4 to 16 bytes an entry.
class IndexTable {
 public:
  static constexpr std::int32_t kNone = -1;

  IndexTable() : IndexTable(0) {}
  /// For at most `count` entries.
  explicit IndexTable(std::size_t count) : slots_(std::bit_ceil(2 * count + 1), kNone) {}

  /// The entry for which `same(index)` holds, or kNone.
  template <typename Same>
  [[nodiscard]] std::int32_t find(std::uint64_t hash, const Same& same) const {
    return slots_[slot_of(hash, same)];
  }

  /// Adds `index`, unless an entry is there for which `same` holds: then that one is returned, otherwise kNone.
  template <typename Same>
  std::int32_t insert(std::uint64_t hash, std::int32_t index, const Same& same) {
    std::int32_t& slot = slots_[slot_of(hash, same)];
    if (slot != kNone) return slot;
    slot = index;
    return kNone;
  }

 private:
  template <typename Same>
  [[nodiscard]] std::size_t slot_of(std::uint64_t hash, const Same& same) const {
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = hash & mask;
    while (slots_[at] != kNone && !same(slots_[at])) at = (at + 1) & mask;
    return at;
  }

  std::vector<std::int32_t> slots_;
};

}  // namespace gguf_fuse::runtime::detail
