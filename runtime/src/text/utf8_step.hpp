// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace gguf_fuse::runtime::detail {

inline constexpr std::string_view kReplacementCharacter = "\xef\xbf\xbd";  // U+FFFD

/// The beginning of a text, read as UTF-8 (RFC 3629).
struct Utf8Step {
  enum class Kind { Character, IllFormed, Unfinished };
  Kind kind;
  std::size_t bytes;  ///< of the character, or of the longest beginning of one (at least 1)
};

/// `text` is not empty. Unfinished: the text ends inside what may still become a character.
[[nodiscard]] Utf8Step utf8_step(std::string_view text);

/// The text with each byte that belongs to no well-formed character replaced by U+FFFD.
[[nodiscard]] std::string replace_ill_formed(std::string_view text);

}  // namespace gguf_fuse::runtime::detail
