// SPDX-License-Identifier: MIT
#include "text/stop_text.hpp"

#include <algorithm>
#include <utility>

namespace gguf_fuse::runtime::detail {

StopText::StopText(std::vector<std::string> texts) : texts_(std::move(texts)) {
  texts_.erase(std::remove(texts_.begin(), texts_.end(), std::string()), texts_.end());
}

/// The longest end of what is held that begins a stop text.
std::size_t StopText::held_back() const {
  std::size_t longest = 0;
  for (const std::string& text : texts_) {
    for (std::size_t size = std::min(text.size() - 1, held_.size()); size > longest; --size) {
      if (held_.compare(held_.size() - size, size, text, 0, size) == 0) longest = size;
    }
  }
  return longest;
}

std::string StopText::push(std::string_view bytes) {
  if (found_) return {};
  held_ += bytes;
  std::size_t end = std::string::npos;
  for (const std::string& text : texts_) end = std::min(end, held_.find(text));
  found_ = end != std::string::npos;
  const std::size_t sure = found_ ? end : held_.size() - held_back();
  std::string out = held_.substr(0, sure);
  held_.erase(0, found_ ? std::string::npos : sure);
  return out;
}

std::string StopText::flush() { return std::exchange(held_, {}); }

}  // namespace gguf_fuse::runtime::detail
