// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace gguf_fuse::jinja::detail {

/// What a string between quotes means: Python's escapes, and an unknown one stays as it is. Nothing where Python
/// refuses it.
[[nodiscard]] std::optional<std::string> string_literal(std::string_view body);

/// The number of `digits` hexadecimal digits at the beginning of `text`.
[[nodiscard]] std::optional<char32_t> hexadecimal(std::string_view text, std::size_t digits);

}  // namespace gguf_fuse::jinja::detail
