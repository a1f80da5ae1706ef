// SPDX-License-Identifier: MIT
#include "text/bpe.hpp"

#include <fmt/format.h>

#include "text/tokenizer_text.hpp"
#include "text/utf8_step.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

constexpr std::string_view kMerges = "tokenizer.ggml.merges";

}  // namespace

std::uint64_t Bpe::hash(std::int32_t left, std::int32_t right) {
  const auto pair = (static_cast<std::uint64_t>(left) << 32) | static_cast<std::uint64_t>(right);
  return (pair * 0x9e3779b97f4a7c15u) >> 32;  // the upper half is the well mixed one
}

Result<Bpe> Bpe::load(const Metadata& metadata, const Vocabulary& vocabulary, std::string_view pre,
                      const std::string& path, std::vector<std::string>& notes) {
  Bpe bpe;
  bpe.row_ = find_pre_tokenizer(pre);
  if (bpe.row_ == nullptr) {
    return fail(Error{.code = ErrorCode::UnsupportedTokenizer,
                      .path = path,
                      .subject = "tokenizer.ggml.pre",
                      .expected = "a known pre-tokenizer",
                      .actual = '"' + std::string(pre) + '"'});
  }
  GGUF_FUSE_ASSIGN(bpe.pre_tokenizer_, PreTokenizer::compile(*bpe.row_));
  GGUF_FUSE_CHECK(bpe.load_merges(metadata, vocabulary, notes));
  for (unsigned byte = 0; byte < 256; ++byte) {
    const auto value = static_cast<unsigned char>(byte);
    const std::string single(1, static_cast<char>(value));
    bpe.byte_tokens_[byte] =
        bpe.row_->characters ? vocabulary.find_byte(value) : vocabulary.find(byte_characters(single));
  }
  return bpe;
}

Result<void> Bpe::load_merges(const Metadata& metadata, const Vocabulary& vocabulary, std::vector<std::string>& notes) {
  GGUF_FUSE_ASSIGN(const std::vector<std::string_view> lines, metadata.get_string_array(kMerges));
  by_pair_ = IndexTable(lines.size());
  rules_.reserve(lines.size());
  std::size_t left_out = 0;
  std::string_view first_left_out;
  for (const std::string_view line : lines) {
    // The first line of the merges.txt that some files were made from.
    if (rules_.empty() && line.starts_with("#version:")) continue;
    // The first half may begin with a space, but not end with one.
    const std::size_t space = line.find(' ', 1);
    const std::string_view left = line.substr(0, space);
    const std::string_view right = space == std::string_view::npos ? std::string_view() : line.substr(space + 1);
    const Rule rule{vocabulary.find(left), vocabulary.find(right),
                    vocabulary.find(std::string(left) + std::string(right))};
    if (right.empty() || rule.left < 0 || rule.right < 0 || rule.result < 0) {
      if (left_out++ == 0) first_left_out = line.substr(0, 80);
      continue;
    }
    if (vocabulary.find_data(vocabulary.text(rule.result)) < 0) continue;
    const auto rank = static_cast<std::int32_t>(rules_.size());
    rules_.push_back(rule);
    const auto same = [&](std::int32_t other) {
      const Rule& there = rules_[static_cast<std::size_t>(other)];
      return there.left == rule.left && there.right == rule.right;
    };
    by_pair_.insert(hash(rule.left, rule.right), rank, same);  // the first of equals counts
  }
  if (left_out > 0) {
    notes.push_back(fmt::format("{} of {} merges ({}) are not of tokens that make a token, and are left out: \"{}\"",
                                left_out, lines.size(), kMerges, first_left_out));
  }
  return {};
}

Merge Bpe::find(const Symbol& left, const Symbol& right) const {
  if (left.id < 0 || right.id < 0) return {};
  const auto same = [&](std::int32_t rank) {
    const Rule& rule = rules_[static_cast<std::size_t>(rank)];
    return rule.left == left.id && rule.right == right.id;
  };
  const std::int32_t rank = by_pair_.find(hash(left.id, right.id), same);
  if (rank == IndexTable::kNone) return {};
  return {rules_[static_cast<std::size_t>(rank)].result, static_cast<double>(rank)};
}

std::int32_t Bpe::whole_word(const Vocabulary& vocabulary, std::string_view word) const {
  if (row_->characters) {
    // Runs of line feeds are tokens that no merge makes.
    return word.front() == '\n' ? vocabulary.find_data(word) : -1;
  }
  return row_->ignore_merges ? vocabulary.find_data(byte_characters(word)) : -1;
}

void Bpe::encode_word(const Vocabulary& vocabulary, std::string_view word, std::vector<std::int32_t>& tokens) const {
  if (const std::int32_t whole = whole_word(vocabulary, word); whole >= 0) {
    tokens.push_back(whole);
    return;
  }
  std::vector<Symbol> symbols;
  for (std::size_t at = 0; at < word.size();) {
    const std::size_t bytes = row_->characters ? utf8_step(word.substr(at)).bytes : 1;
    const std::int32_t id = row_->characters ? vocabulary.find_data(word.substr(at, bytes))
                                             : byte_tokens_[static_cast<unsigned char>(word[at])];
    symbols.push_back({static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(bytes), id});
    at += bytes;
  }
  merge_symbols(symbols, [this](const Symbol& left, const Symbol& right) { return find(left, right); });
  for (const Symbol& symbol : symbols) {
    if (symbol.id >= 0) {
      tokens.push_back(symbol.id);
      continue;
    }
    for (const char byte : word.substr(symbol.begin, symbol.bytes)) {
      const std::int32_t id = byte_tokens_[static_cast<unsigned char>(byte)];
      if (id >= 0) tokens.push_back(id);
    }
  }
}

Result<void> Bpe::encode(const Vocabulary& vocabulary, std::string_view text, std::vector<std::int32_t>& tokens) const {
  const std::string clean = replace_ill_formed(row_->characters ? mark_spaces(text) : std::string(text));
  GGUF_FUSE_ASSIGN(const std::vector<std::string_view> words, pre_tokenizer_.split(clean));
  for (const std::string_view word : words) {
    if (!word.empty()) encode_word(vocabulary, word, tokens);
  }
  return {};
}

std::string Bpe::decode(std::string_view token_text) const {
  if (row_->characters) return unmark_spaces(token_text);
  // Added tokens may be written as they are, outside of the alphabet.
  return bytes_of_characters(token_text).value_or(std::string(token_text));
}

}  // namespace gguf_fuse::runtime::detail
