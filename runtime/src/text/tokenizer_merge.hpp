// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <queue>
#include <vector>

namespace gguf_fuse::runtime::detail {

/// A run of bytes of a text that is one token, or a single character that is none (id -1).
struct Symbol {
  std::uint32_t begin = 0;
  std::uint32_t bytes = 0;  ///< 0: merged into the symbol before it
  std::int32_t id = -1;
};

/// What two neighbours may become.
struct Merge {
  std::int32_t id = -1;   ///< -1: nothing
  double priority = 0.0;  ///< smaller first
};

/// Merges neighbours, the best pair first and the leftmost of equals, until nothing can be merged; drops what was
/// merged away. `find(left, right)` gives the Merge of two neighbouring symbols. O(n log n).
template <typename Find>
void merge_symbols(std::vector<Symbol>& symbols, const Find& find) {
  struct Pair {
    double priority;
    std::size_t left, right;
    std::uint32_t bytes;  // of both: it is out of date when they have grown or are gone
    std::int32_t id;
  };
  const auto later = [](const Pair& a, const Pair& b) {
    return a.priority != b.priority ? a.priority > b.priority : a.left > b.left;
  };
  std::priority_queue<Pair, std::vector<Pair>, decltype(later)> queue(later);
  const std::size_t none = symbols.size();
  std::vector<std::size_t> previous(none), next(none);

  const auto consider = [&](std::size_t left, std::size_t right) {
    if (left == none || right == none) return;
    const Merge merge = find(symbols[left], symbols[right]);
    if (merge.id < 0) return;
    queue.push({merge.priority, left, right, symbols[left].bytes + symbols[right].bytes, merge.id});
  };
  for (std::size_t i = 0; i < none; ++i) {
    previous[i] = i == 0 ? none : i - 1;
    next[i] = i + 1;
  }
  for (std::size_t i = 1; i < none; ++i) consider(i - 1, i);

  while (!queue.empty()) {
    const Pair pair = queue.top();
    queue.pop();
    Symbol& left = symbols[pair.left];
    Symbol& right = symbols[pair.right];
    if (left.bytes == 0 || right.bytes == 0 || left.bytes + right.bytes != pair.bytes) continue;
    left.bytes = pair.bytes;
    left.id = pair.id;
    right.bytes = 0;
    next[pair.left] = next[pair.right];
    if (next[pair.right] != none) previous[next[pair.right]] = pair.left;
    consider(previous[pair.left], pair.left);
    consider(pair.left, next[pair.left]);
  }
  std::erase_if(symbols, [](const Symbol& symbol) { return symbol.bytes == 0; });
}

}  // namespace gguf_fuse::runtime::detail
