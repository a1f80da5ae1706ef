// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gguf_fuse/loader/error.hpp"

struct pcre2_real_code_8;  // pcre2.h's pcre2_code

namespace gguf_fuse::runtime::detail {

/// Regular expressions that cut a text into words, one after the other: each cuts what the ones before it left whole
/// into its matches and the stretches between them. Unused ones are empty.
using PreTokenizerPatterns = std::array<std::string_view, 6>;

enum class AddBos : std::uint8_t { No, Yes, Always };  ///< Always: whatever tokenizer.ggml.add_bos_token says

/// A value of tokenizer.ggml.pre.
struct PreTokenizerRow {
  std::string_view name;
  const PreTokenizerPatterns* patterns;
  bool ignore_merges = false;  ///< a word that is a token is that token, whatever merging would make of it
  AddBos add_bos = AddBos::No;
  bool characters = false;  ///< BPE on characters with U+2581 for spaces, not on bytes
};

[[nodiscard]] std::span<const PreTokenizerRow> pre_tokenizers();
[[nodiscard]] const PreTokenizerRow* find_pre_tokenizer(std::string_view name);

class PreTokenizer {
 public:
  /// Errors: UnsupportedTokenizer (PCRE2 refuses a pattern).
  [[nodiscard]] static Result<PreTokenizer> compile(const PreTokenizerRow& row);
  /// The words of `text`, which must be well-formed UTF-8, in order and without gaps. Errors: SystemFailed (PCRE2 ran
  /// out of its limits).
  [[nodiscard]] Result<std::vector<std::string_view>> split(std::string_view text) const;

 private:
  std::vector<std::shared_ptr<const pcre2_real_code_8>> patterns_;
};

}  // namespace gguf_fuse::runtime::detail
