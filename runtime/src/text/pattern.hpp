// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "gguf_fuse/loader/error.hpp"

namespace gguf_fuse::runtime::detail {

/// What PCRE2 says about one of its error codes.
[[nodiscard]] std::string pcre2_message(int code);

/// A regular expression (PCRE2) that is searched in short texts.
class Pattern {
 public:
  /// Errors: InvalidArgument, with what is wrong with it.
  [[nodiscard]] static Result<Pattern> compile(const std::string& text);
  [[nodiscard]] bool found_in(std::string_view text) const;

 private:
  struct Code;
  explicit Pattern(std::shared_ptr<const Code> code) : code_(std::move(code)) {}
  std::shared_ptr<const Code> code_;
};

}  // namespace gguf_fuse::runtime::detail
