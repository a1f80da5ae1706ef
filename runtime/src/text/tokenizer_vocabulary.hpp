// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gguf_fuse/loader/error.hpp"
#include "gguf_fuse/loader/metadata.hpp"
#include "gguf_fuse/runtime/namespace.hpp"
#include "text/tokenizer_table.hpp"

namespace gguf_fuse::runtime::detail {

/// The values of tokenizer.ggml.token_type.
enum class TokenType : std::uint8_t { Undefined, Normal, Unknown, Control, UserDefined, Unused, Byte };

/// The tokens' texts and types.
class Vocabulary {
 public:
  /// Without types all tokens are normal ones. Errors: MissingKey (of the texts), WrongValueType, BadHyperparameter (no
  /// token at all, two equal ones, too few types).
  [[nodiscard]] static Result<Vocabulary> load(const Metadata& metadata, const std::string& path);

  [[nodiscard]] std::size_t size() const { return types_.size(); }
  [[nodiscard]] bool contains(std::int64_t token) const {
    return token >= 0 && static_cast<std::size_t>(token) < size();
  }
  /// Empty for tokens without text.
  [[nodiscard]] std::string_view text(std::int32_t token) const;
  [[nodiscard]] TokenType type(std::int32_t token) const { return types_[static_cast<std::size_t>(token)]; }
  void set_type(std::int32_t token, TokenType type) { types_[static_cast<std::size_t>(token)] = type; }
  /// The token with this text, whatever its type; -1 when there is none.
  [[nodiscard]] std::int32_t find(std::string_view text) const;
  /// The same for text that is only text: tokens that stand for something else (control tokens, the unknown one, bytes)
  /// do not count, however they are written.
  [[nodiscard]] std::int32_t find_data(std::string_view text) const;
  /// The token "<0xHH>" of a byte; -1 when there is none.
  [[nodiscard]] std::int32_t find_byte(unsigned char byte) const;

 private:
  std::string texts_;                // one behind the other
  std::vector<std::uint32_t> ends_;  // of each token's text; the whole header is at most 1 GiB
  std::vector<TokenType> types_;
  IndexTable by_text_;
};

/// The byte that a token named "<0xHH>" stands for.
[[nodiscard]] std::optional<char> byte_of_token_text(std::string_view text);

/// The values of an array of numbers, of which there must be at least `count`; without the key, `count` times
/// `otherwise`. Errors: WrongValueType, BadHyperparameter (fewer).
[[nodiscard]] Result<std::vector<double>> numbers_or(const Metadata& metadata, std::string_view key, std::size_t count,
                                                     double otherwise, const std::string& path);

/// A flag, or `otherwise` without the key. Errors: WrongValueType.
[[nodiscard]] Result<bool> bool_or(const Metadata& metadata, std::string_view key, bool otherwise,
                                   const std::string& path);

}  // namespace gguf_fuse::runtime::detail
