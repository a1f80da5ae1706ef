// SPDX-License-Identifier: MIT
#include "text/tokenizer_vocabulary.hpp"

#include <fmt/format.h>

#include <charconv>
#include <functional>
#include <limits>

namespace gguf_fuse::runtime::detail {
namespace {

constexpr std::string_view kTokens = "tokenizer.ggml.tokens";
constexpr std::string_view kTypes = "tokenizer.ggml.token_type";

TokenType token_type(double stored) {
  return stored >= 0.0 && stored <= static_cast<double>(TokenType::Byte)
             ? static_cast<TokenType>(static_cast<std::uint8_t>(stored))
             : TokenType::Undefined;
}

}  // namespace

Result<std::vector<double>> numbers_or(const Metadata& metadata, std::string_view key, std::size_t count,
                                       double otherwise, const std::string& path) {
  const auto value = metadata.find(key);
  if (!value) return std::vector<double>(count, otherwise);
  std::vector<double> numbers;
  numbers.reserve(count);
  for (auto element = value->elements(); !element.done(); ++element) {
    const Value item = *element;
    const auto integer = item.as_signed();
    const auto number = integer ? std::optional(static_cast<double>(*integer)) : item.as_double();
    if (!number) break;  // elements are all of one type
    numbers.push_back(*number);
  }
  if (value->type() != ValueType::Array || numbers.size() != value->count()) {
    return fail(Error{.code = ErrorCode::WrongValueType,
                      .path = path,
                      .subject = std::string(key),
                      .expected = "an array of numbers",
                      .actual = value->display()});
  }
  if (numbers.size() < count) {
    return fail(Error{.code = ErrorCode::BadHyperparameter,
                      .path = path,
                      .subject = std::string(key),
                      .expected = fmt::format("{} values, one for each token", count),
                      .actual = fmt::format("{}", numbers.size())});
  }
  return numbers;
}

Result<bool> bool_or(const Metadata& metadata, std::string_view key, bool otherwise, const std::string& path) {
  const auto value = metadata.find(key);
  if (!value) return otherwise;
  if (const auto flag = value->as_bool()) return *flag;
  return fail(Error{.code = ErrorCode::WrongValueType,
                    .path = path,
                    .subject = std::string(key),
                    .expected = "bool",
                    .actual = std::string(value_type_name(value->type()))});
}

Result<Vocabulary> Vocabulary::load(const Metadata& metadata, const std::string& path) {
  GGUF_FUSE_ASSIGN(const std::vector<std::string_view> texts, metadata.get_string_array(kTokens));
  const auto bad = [&](std::string expected, std::string actual) {
    return fail(Error{.code = ErrorCode::BadHyperparameter,
                      .path = path,
                      .subject = std::string(kTokens),
                      .expected = std::move(expected),
                      .actual = std::move(actual)});
  };
  if (texts.empty() || texts.size() > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
    return bad("at least one token, and less than 2^31", fmt::format("{}", texts.size()));
  }
  constexpr auto kNormal = static_cast<double>(TokenType::Normal);
  GGUF_FUSE_ASSIGN(const std::vector<double> types, numbers_or(metadata, kTypes, texts.size(), kNormal, path));

  Vocabulary vocabulary;
  vocabulary.by_text_ = IndexTable(texts.size());
  vocabulary.ends_.reserve(texts.size());
  vocabulary.types_.reserve(texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    vocabulary.texts_ += texts[i];
    vocabulary.ends_.push_back(static_cast<std::uint32_t>(vocabulary.texts_.size()));
    vocabulary.types_.push_back(token_type(types[i]));
    if (texts[i].empty()) continue;
    const auto same = [&](std::int32_t other) { return texts[static_cast<std::size_t>(other)] == texts[i]; };
    const std::int32_t before =
        vocabulary.by_text_.insert(std::hash<std::string_view>{}(texts[i]), static_cast<std::int32_t>(i), same);
    if (before != IndexTable::kNone) {
      return bad("texts that are all different", fmt::format("token {} equal to token {}", i, before));
    }
  }
  return vocabulary;
}

std::string_view Vocabulary::text(std::int32_t token) const {
  const auto index = static_cast<std::size_t>(token);
  const std::uint32_t begin = index == 0 ? 0 : ends_[index - 1];
  return std::string_view(texts_).substr(begin, ends_[index] - begin);
}

std::int32_t Vocabulary::find(std::string_view wanted) const {
  return by_text_.find(std::hash<std::string_view>{}(wanted),
                       [&](std::int32_t token) { return text(token) == wanted; });
}

std::int32_t Vocabulary::find_data(std::string_view wanted) const {
  const std::int32_t token = find(wanted);
  if (token < 0) return token;
  const TokenType as = type(token);
  return as == TokenType::Control || as == TokenType::Unknown || as == TokenType::Byte ? -1 : token;
}

std::int32_t Vocabulary::find_byte(unsigned char byte) const { return find(fmt::format("<0x{:02X}>", byte)); }

std::optional<char> byte_of_token_text(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text.back() != '>') return std::nullopt;
  unsigned value = 0;
  const char* const end = text.data() + 5;
  const auto [stopped, error] = std::from_chars(text.data() + 3, end, value, 16);
  if (error != std::errc() || stopped != end) return std::nullopt;
  return static_cast<char>(value);
}

}  // namespace gguf_fuse::runtime::detail
