// SPDX-License-Identifier: MIT
#include "text/pattern.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

namespace gguf_fuse::runtime::detail {

std::string pcre2_message(int code) {
  PCRE2_UCHAR text[128] = {};
  pcre2_get_error_message(code, text, sizeof(text));
  return reinterpret_cast<const char*>(text);
}

struct Pattern::Code {
  explicit Code(pcre2_code* compiled) : code(compiled) {}
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  ~Code() { pcre2_code_free(code); }

  pcre2_code* code;
};

Result<Pattern> Pattern::compile(const std::string& text) {
  int error = 0;
  PCRE2_SIZE at = 0;
  pcre2_code* const code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0, &error, &at, nullptr);
  if (code != nullptr) return Pattern(std::make_shared<const Code>(code));
  return fail({.code = ErrorCode::InvalidArgument,
               .subject = escape_text(text),
               .expected = "a regular expression",
               .actual = fmt::format("{} at character {}", pcre2_message(error), at)});
}

bool Pattern::found_in(std::string_view text) const {
  pcre2_match_data* const match = pcre2_match_data_create_from_pattern(code_->code, nullptr);
  const int count =
      pcre2_match(code_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0, 0, match, nullptr);
  pcre2_match_data_free(match);
  return count >= 0;
}

}  // namespace gguf_fuse::runtime::detail
