// SPDX-License-Identifier: MIT
#include "utf8.hpp"

namespace gguf_fuse::loader::detail {
namespace {

bool is_continuation(std::string_view text, std::size_t index) {
  return index < text.size() && (static_cast<unsigned char>(text[index]) & 0xc0) == 0x80;
}

}  // namespace

std::size_t utf8_length(std::string_view text) {
  if (text.empty()) return 0;
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return 1;
  if (!is_continuation(text, 1)) return 0;
  const auto second = static_cast<unsigned char>(text[1]);
  if (first >= 0xc2 && first <= 0xdf) return 2;
  if (!is_continuation(text, 2)) return 0;
  if (first >= 0xe0 && first <= 0xef) {
    const bool overlong = first == 0xe0 && second < 0xa0;
    const bool surrogate = first == 0xed && second >= 0xa0;
    return overlong || surrogate ? 0 : 3;
  }
  if (!is_continuation(text, 3)) return 0;
  if (first >= 0xf0 && first <= 0xf4) {
    const bool overlong = first == 0xf0 && second < 0x90;
    const bool beyond_unicode = first == 0xf4 && second >= 0x90;
    return overlong || beyond_unicode ? 0 : 4;
  }
  return 0;
}

bool is_clean_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0 || text.front() == '\0') return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace gguf_fuse::loader::detail
