// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "gguf_fuse/loader/export.hpp"

namespace gguf_fuse::runtime::detail {

/// Ends a stream of bytes at the first of some texts, and holds back what may turn out to be the beginning of one.
class GGUF_FUSE_EXPORT StopText {
 public:
  /// Empty texts stop nothing.
  explicit StopText(std::vector<std::string> texts);

  /// Adds bytes and returns those that are sure to stand before every stop text.
  [[nodiscard]] std::string push(std::string_view bytes);
  /// The end: what was held back, for no stop text came of it.
  [[nodiscard]] std::string flush();
  /// A stop text came; it and what follows is dropped.
  [[nodiscard]] bool found() const { return found_; }

 private:
  [[nodiscard]] std::size_t held_back() const;

  std::vector<std::string> texts_;
  std::string held_;
  bool found_ = false;
};

}  // namespace gguf_fuse::runtime::detail
