// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace gguf_fuse::runtime::detail {

/// U+2581, which stands for a space in vocabularies of characters.
inline constexpr std::string_view kSpaceMark = "\xe2\x96\x81";
[[nodiscard]] std::string mark_spaces(std::string_view text);
[[nodiscard]] std::string unmark_spaces(std::string_view text);

/// GPT-2's alphabet (its encoder.py): printable Latin-1 bytes are written as themselves, the 68 others as U+0100 and
/// on, in order.
[[nodiscard]] std::string byte_characters(std::string_view bytes);
/// Back; nothing when a character is not of the alphabet.
[[nodiscard]] std::optional<std::string> bytes_of_characters(std::string_view text);

}  // namespace gguf_fuse::runtime::detail
