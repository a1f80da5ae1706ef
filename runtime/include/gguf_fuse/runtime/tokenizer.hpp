// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gguf_fuse/loader/error.hpp"
#include "gguf_fuse/loader/export.hpp"
#include "gguf_fuse/loader/metadata.hpp"
#include "gguf_fuse/runtime/namespace.hpp"

namespace gguf_fuse::runtime {

struct TokenizeOptions {
  bool add_special = false;    ///< BOS before and EOS behind, where the model wants them
  bool parse_special = false;  ///< control tokens written out in the text ("<|im_end|>") become those tokens
};

/// Bytes of a text, `end` not among them.
struct TextSpan {
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// A model's own tokenizer, from the metadata of its file. Copies share one immutable state; any number of threads may
/// use it at once.
///
/// `tokenizer.ggml.model` says which kind: "gpt2" (byte-level BPE), "gemma4" (BPE on characters), "llama"
/// (SentencePiece with scores) or "none" (ids only). The ids are those of llama.cpp.
class GGUF_FUSE_EXPORT Tokenizer {
 public:
  /// Copies what it needs: `metadata` may go away. `path` is for messages. Only tokenizer.ggml.model and .tokens, and
  /// .merges of BPE, must be there; docs/vocabulary.md has the defaults of the others. Errors: MissingKey,
  /// WrongValueType, BadHyperparameter (contradictory arrays), UnsupportedTokenizer (another kind or pre-tokenizer).
  [[nodiscard]] static Result<Tokenizer> load(const Metadata& metadata, std::string path);
  // Moving copies, so that one that was moved from still answers.
  Tokenizer(const Tokenizer&) = default;
  Tokenizer& operator=(const Tokenizer&) = default;
  ~Tokenizer() = default;

  /// The text's token ids. Text need not be UTF-8: BPE reads each ill-formed byte as U+FFFD, SentencePiece keeps it as
  /// a byte token. Time is O(n log n). Errors: UnsupportedTokenizer (a file without vocabulary), InvalidArgument (more
  /// than 1 GiB), SystemFailed.
  [[nodiscard]] Result<std::vector<std::int32_t>> tokenize(std::string_view text, TokenizeOptions options = {}) const;

  /// The same of a text that several have written: control tokens are recognised where all of their bytes lie in one of
  /// the spans `markup` (in order, none touching the next), and nowhere else. Adds nothing before and behind.
  [[nodiscard]] Result<std::vector<std::int32_t>> tokenize(std::string_view text,
                                                           std::span<const TextSpan> markup) const;

  /// The bytes a token stands for, possibly only part of a character. Control and unknown tokens are empty unless
  /// `special`; so is every id outside the vocabulary.
  [[nodiscard]] std::string piece(std::int32_t token, bool special = false) const;
  /// All pieces, without the one space that the tokenizer itself puts before a text (behind a leading BOS too).
  [[nodiscard]] std::string detokenize(std::span<const std::int32_t> tokens, bool special = false) const;

  /// What the metadata says and is not followed, or does not say and had to be guessed: a line each.
  [[nodiscard]] const std::vector<std::string>& notes() const;

  /// Number of ids; 0 when a file without vocabulary does not say.
  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] std::optional<std::int32_t> bos() const;
  [[nodiscard]] std::optional<std::int32_t> eos() const;
  /// Whether TokenizeOptions::add_special puts BOS before, and EOS behind.
  [[nodiscard]] bool adds_bos() const;
  [[nodiscard]] bool adds_eos() const;
  /// EOS, end of turn, and every token that is known by its text to end an answer.
  [[nodiscard]] bool is_end_of_generation(std::int32_t token) const;
  /// Control tokens, by their type or (end-of-answer tokens) by their text.
  [[nodiscard]] bool is_control(std::int32_t token) const;

 private:
  struct State;
  [[nodiscard]] Result<std::vector<std::int32_t>> tokens_of(std::string_view text, std::span<const TextSpan> markup,
                                                            bool add_special) const;
  explicit Tokenizer(std::shared_ptr<const State> state);
  std::shared_ptr<const State> state_;
};

}  // namespace gguf_fuse::runtime
