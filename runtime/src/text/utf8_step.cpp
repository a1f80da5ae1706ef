// SPDX-License-Identifier: MIT
#include "text/utf8_step.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

struct LeadByte {
  unsigned char first, last;  // the lead bytes of this row
  std::size_t bytes;          // of the whole character
  unsigned char second_from, second_to;
};

// Table 3-7 of the Unicode standard: which second bytes keep out overlong forms, surrogates and what is beyond
// U+10FFFF.
constexpr LeadByte kLeadBytes[] = {
    {0x00, 0x7f, 1, 0, 0},       {0xc2, 0xdf, 2, 0x80, 0xbf}, {0xe0, 0xe0, 3, 0xa0, 0xbf},
    {0xe1, 0xec, 3, 0x80, 0xbf}, {0xed, 0xed, 3, 0x80, 0x9f}, {0xee, 0xef, 3, 0x80, 0xbf},
    {0xf0, 0xf0, 4, 0x90, 0xbf}, {0xf1, 0xf3, 4, 0x80, 0xbf}, {0xf4, 0xf4, 4, 0x80, 0x8f}};

}  // namespace

Utf8Step utf8_step(std::string_view text) {
  const auto first = static_cast<unsigned char>(text.front());
  for (const LeadByte& row : kLeadBytes) {
    if (first < row.first || first > row.last) continue;
    for (std::size_t i = 1; i < row.bytes; ++i) {
      if (i == text.size()) return {Utf8Step::Kind::Unfinished, i};
      const auto next = static_cast<unsigned char>(text[i]);
      const unsigned char from = i == 1 ? row.second_from : 0x80;
      const unsigned char to = i == 1 ? row.second_to : 0xbf;
      if (next < from || next > to) return {Utf8Step::Kind::IllFormed, i};
    }
    return {Utf8Step::Kind::Character, row.bytes};
  }
  return {Utf8Step::Kind::IllFormed, 1};
}

std::string replace_ill_formed(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    const bool good = step.kind == Utf8Step::Kind::Character;
    clean += good ? text.substr(0, step.bytes) : kReplacementCharacter;
    text.remove_prefix(good ? step.bytes : 1);
  }
  return clean;
}

}  // namespace gguf_fuse::runtime::detail
