// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "gguf_fuse/loader/error.hpp"

namespace gguf_fuse::jinja::detail {

enum class TokenKind : std::uint8_t {
  Data,
  BlockBegin,
  BlockEnd,
  PrintBegin,
  PrintEnd,
  Name,
  String,
  Integer,
  Float,
  Operator,
  End
};

struct Token {
  TokenKind kind;
  std::string text{};  ///< of strings what they mean, their escapes resolved
  int line = 0;
};

/// The whole template, white space around tags dropped as trim_blocks, lstrip_blocks and the marks - and + want it; an
/// End behind it. Errors: TemplateSyntax.
[[nodiscard]] Result<std::vector<Token>> tokenize(std::string_view source);

[[nodiscard]] Error syntax_error(int line, std::string what);

}  // namespace gguf_fuse::jinja::detail
