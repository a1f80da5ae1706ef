// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer_vocabulary.hpp"

namespace gguf_fuse::runtime::detail {

/// SentencePiece's BPE: of all neighbours that make a token, those whose token has the highest score are merged first.
class Spm {
 public:
  /// Without scores all are 0: the leftmost pair is merged first. Errors: WrongValueType, BadHyperparameter (too few
  /// scores, or one that is no number).
  [[nodiscard]] static Result<Spm> load(const Metadata& metadata, const Vocabulary& vocabulary, std::int32_t unknown,
                                        const std::string& path);

  /// The tokenizer puts a space before each stretch of text that opens the input or follows a special token.
  [[nodiscard]] bool adds_space() const { return add_space_prefix_; }
  /// Appends the tokens of `text`; what is in no token becomes byte tokens.
  void encode(const Vocabulary& vocabulary, std::string_view text, bool after_special,
              std::vector<std::int32_t>& tokens) const;

 private:
  std::vector<float> scores_;
  std::array<std::int32_t, 256> byte_tokens_{};
  bool add_space_prefix_ = true;
};

}  // namespace gguf_fuse::runtime::detail
