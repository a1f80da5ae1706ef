// SPDX-License-Identifier: MIT
#include "text/tokenizer_text.hpp"

#include <array>
#include <cstdint>

namespace gguf_fuse::runtime::detail {
namespace {

constexpr bool stands_for_itself(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
}

struct Alphabet {
  std::array<std::uint16_t, 256> code_points{};
  std::array<std::int16_t, 0x144> bytes{};  // by code point; -1 for what is not of the alphabet
};

constexpr Alphabet make_alphabet() {
  Alphabet alphabet;
  for (auto& byte : alphabet.bytes) byte = -1;
  std::uint16_t next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const auto code_point = stands_for_itself(byte) ? static_cast<std::uint16_t>(byte) : next++;
    alphabet.code_points[byte] = code_point;
    alphabet.bytes[code_point] = static_cast<std::int16_t>(byte);
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = make_alphabet();

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string result;
  for (std::size_t at = text.find(from); at != std::string_view::npos; at = text.find(from)) {
    result += text.substr(0, at);
    result += to;
    text.remove_prefix(at + from.size());
  }
  return result += text;
}

}  // namespace

std::string byte_characters(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char byte : bytes) {
    const unsigned code_point = kAlphabet.code_points[static_cast<unsigned char>(byte)];
    if (code_point >= 0x80) text += static_cast<char>(0xc0 | (code_point >> 6));
    text += static_cast<char>(code_point < 0x80 ? code_point : 0x80 | (code_point & 0x3f));
  }
  return text;
}

std::optional<std::string> bytes_of_characters(std::string_view text) {
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned code_point = static_cast<unsigned char>(text[i]);
    if (code_point >= 0x80) {
      // The alphabet has no character beyond two bytes.
      if ((code_point & 0xe0) != 0xc0 || i + 1 == text.size()) return std::nullopt;
      const unsigned low = static_cast<unsigned char>(text[++i]);
      if ((low & 0xc0) != 0x80) return std::nullopt;
      code_point = ((code_point & 0x1f) << 6) | (low & 0x3f);
    }
    if (code_point >= kAlphabet.bytes.size() || kAlphabet.bytes[code_point] < 0) return std::nullopt;
    bytes += static_cast<char>(kAlphabet.bytes[code_point]);
  }
  return bytes;
}

std::string mark_spaces(std::string_view text) { return replace_all(text, " ", kSpaceMark); }

std::string unmark_spaces(std::string_view text) { return replace_all(text, kSpaceMark, " "); }

}  // namespace gguf_fuse::runtime::detail
