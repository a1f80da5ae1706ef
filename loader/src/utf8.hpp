// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string_view>

namespace gguf_fuse::loader::detail {

/// Bytes of the well-formed UTF-8 character at the start of `text` (RFC 3629), 0 when there is none.
[[nodiscard]] std::size_t utf8_length(std::string_view text);
/// Whether all of `text` is well-formed UTF-8 without a NUL.
[[nodiscard]] bool is_clean_utf8(std::string_view text);

}  // namespace gguf_fuse::loader::detail
