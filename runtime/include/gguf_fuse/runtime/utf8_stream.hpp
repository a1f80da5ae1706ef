// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

#include "gguf_fuse/loader/export.hpp"
#include "gguf_fuse/runtime/namespace.hpp"

namespace gguf_fuse::runtime {

/// Makes whole characters of the pieces that tokens stand for: a character may be spread over several tokens, and a
/// terminal must never see half of one. Ill-formed bytes become U+FFFD, one for each maximal part of a character (the
/// practice that Unicode recommends in chapter 3.9).
class GGUF_FUSE_EXPORT Utf8Stream {
 public:
  /// Adds bytes and returns the characters that are complete by now.
  [[nodiscard]] std::string push(std::string_view bytes);
  /// The end: U+FFFD when bytes of an unfinished character are left, otherwise nothing. Ready for another text then.
  [[nodiscard]] std::string flush();

 private:
  std::string pending_;  // at most 3 bytes, the beginning of a well-formed character
};

}  // namespace gguf_fuse::runtime
