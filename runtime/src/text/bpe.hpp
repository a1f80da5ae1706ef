// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/pre_tokenizer.hpp"
#include "text/tokenizer_merge.hpp"
#include "text/tokenizer_vocabulary.hpp"

namespace gguf_fuse::runtime::detail {

/// Byte pair encoding: words are cut by the pre-tokenizer, then pairs are merged in the order of tokenizer.ggml.merges.
class Bpe {
 public:
  /// `pre` is a name of the table. A merge of or into what is no token is left out, with a note. Errors:
  /// UnsupportedTokenizer (an unknown name), MissingKey, WrongValueType.
  [[nodiscard]] static Result<Bpe> load(const Metadata& metadata, const Vocabulary& vocabulary, std::string_view pre,
                                        const std::string& path, std::vector<std::string>& notes);

  [[nodiscard]] AddBos add_bos() const { return row_->add_bos; }
  /// Appends the tokens of `text`. A character that is no token, nor its bytes, gives none.
  [[nodiscard]] Result<void> encode(const Vocabulary& vocabulary, std::string_view text,
                                    std::vector<std::int32_t>& tokens) const;
  /// The bytes that a normal token's text stands for.
  [[nodiscard]] std::string decode(std::string_view token_text) const;

 private:
  struct Rule {
    std::int32_t left, right, result;
  };
  [[nodiscard]] static std::uint64_t hash(std::int32_t left, std::int32_t right);
  [[nodiscard]] Result<void> load_merges(const Metadata& metadata, const Vocabulary& vocabulary,
                                         std::vector<std::string>& notes);
  [[nodiscard]] Merge find(const Symbol& left, const Symbol& right) const;
  [[nodiscard]] std::int32_t whole_word(const Vocabulary& vocabulary, std::string_view word) const;
  void encode_word(const Vocabulary& vocabulary, std::string_view word, std::vector<std::int32_t>& tokens) const;

  const PreTokenizerRow* row_ = nullptr;
  PreTokenizer pre_tokenizer_;
  std::vector<Rule> rules_;  // in the order of their ranks
  IndexTable by_pair_;
  std::array<std::int32_t, 256> byte_tokens_{};
};

}  // namespace gguf_fuse::runtime::detail
