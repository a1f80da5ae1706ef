// SPDX-License-Identifier: MIT
#include "characters.hpp"

#include <algorithm>
#include <iterator>

namespace gguf_fuse::jinja::detail {
namespace {

struct Lead {
  std::size_t size;
  char32_t bits;
  char32_t least;  // overlong below it
};

Lead lead_of(unsigned char byte) {
  if (byte < 0x80) return {1, byte, 0};
  if (byte >= 0xC2 && byte < 0xE0) return {2, byte & 0x1FU, 0x80};
  if (byte >= 0xE0 && byte < 0xF0) return {3, byte & 0x0FU, 0x800};
  if (byte >= 0xF0 && byte < 0xF5) return {4, byte & 0x07U, 0x10000};
  return {0, 0, 0};
}

}  // namespace

Character character_at(std::string_view text, std::size_t at) {
  constexpr Character kIllFormed{0xFFFD, 1};
  const Lead lead = lead_of(static_cast<unsigned char>(text[at]));
  if (lead.size == 0 || lead.size > text.size() - at) return kIllFormed;
  char32_t code = lead.bits;
  for (std::size_t i = 1; i < lead.size; ++i) {
    const auto byte = static_cast<unsigned char>(text[at + i]);
    if ((byte & 0xC0U) != 0x80U) return kIllFormed;
    code = code << 6U | (byte & 0x3FU);
  }
  if (code < lead.least || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return kIllFormed;
  return {code, lead.size};
}

std::vector<std::size_t> character_starts(std::string_view text) {
  std::vector<std::size_t> starts;
  for (std::size_t at = 0; at < text.size(); at += character_at(text, at).size) starts.push_back(at);
  starts.push_back(text.size());
  return starts;
}

std::size_t count_characters(std::string_view text) {
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size(); at += character_at(text, at).size) ++count;
  return count;
}

bool is_space(char32_t code) {
  constexpr char32_t kSpaces[] = {0x20, 0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000};
  return (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x1F) || (code >= 0x2000 && code <= 0x200A) ||
         std::find(std::begin(kSpaces), std::end(kSpaces), code) != std::end(kSpaces);
}

void append_utf8(std::string& text, char32_t code) {
  const auto put = [&text](char32_t byte) { text += static_cast<char>(static_cast<unsigned char>(byte)); };
  const auto tail = [&put, code](unsigned shift) { put(0x80U | (code >> shift & 0x3FU)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0U | code >> 6U);
    tail(0);
  } else if (code < 0x10000) {
    put(0xE0U | code >> 12U);
    tail(6);
    tail(0);
  } else {
    put(0xF0U | code >> 18U);
    tail(12);
    tail(6);
    tail(0);
  }
}

Range strip_range(std::string_view text, const std::string* drop, bool left, bool right) {
  const auto dropped = [&](std::size_t at) {
    const Character character = character_at(text, at);
    if (drop == nullptr) return is_space(character.code);
    return drop->find(text.substr(at, character.size)) != std::string::npos;
  };
  Range range{0, text.size()};
  while (left && range.begin < range.end && dropped(range.begin)) {
    range.begin += character_at(text, range.begin).size;
  }
  while (right && range.begin < range.end) {
    std::size_t last = range.end - 1;
    while (last > range.begin && range.end - last < 4 && (static_cast<unsigned char>(text[last]) & 0xC0U) == 0x80U)
      --last;
    if (character_at(text, last).size != range.end - last) last = range.end - 1;
    if (!dropped(last)) break;
    range.end = last;
  }
  return range;
}

}  // namespace gguf_fuse::jinja::detail
