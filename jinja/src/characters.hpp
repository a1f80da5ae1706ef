// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gguf_fuse/jinja/text.hpp"

namespace gguf_fuse::jinja::detail {

/// A code point and its bytes; an ill-formed byte is a character of its own, U+FFFD.
struct Character {
  char32_t code = 0;
  std::size_t size = 0;
};
/// `at` lies within the text.
[[nodiscard]] Character character_at(std::string_view text, std::size_t at);
/// Where each character begins, and behind them the end of the text.
[[nodiscard]] std::vector<std::size_t> character_starts(std::string_view text);
[[nodiscard]] std::size_t count_characters(std::string_view text);
/// White space as Python's str.isspace sees it.
[[nodiscard]] bool is_space(char32_t code);
void append_utf8(std::string& text, char32_t code);

struct Range {
  std::size_t begin = 0;
  std::size_t end = 0;
};
/// What is left without characters of `drop` (white space when null) at the ends that are named.
[[nodiscard]] Range strip_range(std::string_view text, const std::string* drop, bool left, bool right);

// ASCII only: nothing that templates compare is anything else, and the tables for the rest are larger than all of this.
[[nodiscard]] constexpr bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
[[nodiscard]] constexpr bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
[[nodiscard]] constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
[[nodiscard]] constexpr char to_upper(char c) { return is_lower(c) ? static_cast<char>(c - 'a' + 'A') : c; }
[[nodiscard]] constexpr char to_lower(char c) { return is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace gguf_fuse::jinja::detail
