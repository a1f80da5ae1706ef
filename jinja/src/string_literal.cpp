// SPDX-License-Identifier: MIT
#include "string_literal.hpp"

#include <charconv>

#include "characters.hpp"

namespace gguf_fuse::jinja::detail {

std::optional<char32_t> hexadecimal(std::string_view text, std::size_t digits) {
  if (text.size() < digits) return std::nullopt;
  std::uint32_t code = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, code, 16);
  if (error != std::errc() || end != text.data() + digits) return std::nullopt;
  return code;
}

std::optional<std::string> string_literal(std::string_view body) {
  constexpr std::string_view kLetters = "\\'\"abfnrtv";
  constexpr std::string_view kMeanings = "\\'\"\a\b\f\n\r\t\v";
  std::string text;
  for (std::size_t i = 0; i < body.size(); ++i) {
    if (body[i] != '\\' || i + 1 == body.size()) {
      text += body[i];
      continue;
    }
    const char letter = body[++i];
    const std::size_t digits = letter == 'x' ? 2 : letter == 'u' ? 4 : letter == 'U' ? 8 : 0;
    if (digits > 0) {
      const auto code = hexadecimal(body.substr(i + 1), digits);
      if (!code || *code > 0x10FFFF || (*code >= 0xD800 && *code < 0xE000)) return std::nullopt;
      append_utf8(text, *code);
      i += digits;
    } else if (letter >= '0' && letter <= '7') {
      char32_t code = 0;
      std::size_t end = i;
      while (end < body.size() && end < i + 3 && body[end] >= '0' && body[end] <= '7') {
        code = code * 8 + static_cast<char32_t>(body[end++] - '0');
      }
      append_utf8(text, code);
      i = end - 1;
    } else if (const std::size_t known = kLetters.find(letter); known != std::string_view::npos) {
      text += kMeanings[known];
    } else if (letter != '\n') {  // an escaped line end is nothing
      text += '\\';
      text += letter;
    }
  }
  return text;
}

}  // namespace gguf_fuse::jinja::detail
