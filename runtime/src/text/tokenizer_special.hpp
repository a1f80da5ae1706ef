// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gguf_fuse/loader/error.hpp"
#include "gguf_fuse/loader/metadata.hpp"
#include "gguf_fuse/runtime/tokenizer.hpp"
#include "text/tokenizer_vocabulary.hpp"

namespace gguf_fuse::runtime::detail {

/// A stretch of text, or a token that was written out in it (`token` >= 0).
struct Fragment {
  std::string_view text;
  std::int32_t token = -1;
};

/// Finds tokens that are recognised in the text itself before anything is tokenized: user-defined ones anywhere,
/// control and unknown ones within the spans that are markup.
class SpecialTokens {
 public:
  /// The types must be final. With `strip_right`, white space behind most of them is theirs, as the phi-3 models want.
  SpecialTokens(const Vocabulary& vocabulary, bool strip_right);

  /// Longer tokens are found first, wherever they stand; none overlap. Fragments refer into `text`.
  [[nodiscard]] std::vector<Fragment> partition(const Vocabulary& vocabulary, std::string_view text,
                                                std::span<const TextSpan> markup) const;

 private:
  struct Entry {
    std::int32_t token;
    bool always;  // user-defined
    bool strip_right;
  };
  [[nodiscard]] std::vector<bool> present(const Vocabulary& vocabulary, std::string_view text,
                                          std::span<const TextSpan> markup) const;

  std::vector<Entry> entries_;        // longest text first
  std::vector<std::size_t> by_text_;  // indices of entries_ in the order of the texts
};

/// The tokens with a part to play.
struct TokenRoles {
  std::int32_t bos = -1;
  std::int32_t eos = -1;
  std::int32_t unknown = -1;
  std::vector<std::int32_t> fill;               ///< of fill-in-the-middle prompts, as the metadata names them (or -1)
  std::vector<std::int32_t> end_of_generation;  ///< sorted once they are complete
};

/// Ids from the metadata, `roles` holding the defaults. An id that is no token is noted, and the default counts.
/// Errors: WrongValueType.
[[nodiscard]] Result<void> read_token_roles(const Metadata& metadata, const Vocabulary& vocabulary,
                                            const std::string& path, TokenRoles& roles,
                                            std::vector<std::string>& notes);

/// Finds the tokens that end an answer by their texts, and corrects types that files are known to have wrong. Facts:
/// llama.cpp, src/llama-vocab.cpp.
void complete_token_roles(Vocabulary& vocabulary, TokenRoles& roles);

}  // namespace gguf_fuse::runtime::detail
