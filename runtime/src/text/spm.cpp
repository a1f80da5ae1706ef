// SPDX-License-Identifier: MIT
#include "text/spm.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "text/tokenizer_merge.hpp"
#include "text/tokenizer_text.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

constexpr std::string_view kScores = "tokenizer.ggml.scores";

// What the first byte announces, whatever follows: ill-formed text is no token in any case, and its bytes are kept.
std::size_t announced_bytes(char first) {
  const unsigned high = static_cast<unsigned char>(first) >> 4;
  return high < 0xc ? 1 : high < 0xe ? 2 : high < 0xf ? 3 : 4;
}

}  // namespace

Result<Spm> Spm::load(const Metadata& metadata, const Vocabulary& vocabulary, std::int32_t unknown,
                      const std::string& path) {
  Spm spm;
  GGUF_FUSE_ASSIGN(const std::vector<double> scores, numbers_or(metadata, kScores, vocabulary.size(), 0.0, path));
  if (std::any_of(scores.begin(), scores.end(), [](double score) { return std::isnan(score); })) {
    return fail(Error{.code = ErrorCode::BadHyperparameter,
                      .path = path,
                      .subject = std::string(kScores),
                      .expected = "numbers",
                      .actual = "NaN"});
  }
  std::transform(scores.begin(), scores.end(), std::back_inserter(spm.scores_),
                 [](double score) { return static_cast<float>(score); });
  GGUF_FUSE_ASSIGN(spm.add_space_prefix_, bool_or(metadata, "tokenizer.ggml.add_space_prefix", true, path));
  for (unsigned byte = 0; byte < 256; ++byte) {
    const auto value = static_cast<unsigned char>(byte);
    const std::int32_t named = vocabulary.find_byte(value);
    const std::int32_t itself = vocabulary.find_data(std::string(1, static_cast<char>(value)));
    spm.byte_tokens_[byte] = named >= 0 ? named : itself >= 0 ? itself : unknown;
  }
  return spm;
}

void Spm::encode(const Vocabulary& vocabulary, std::string_view raw, bool after_special,
                 std::vector<std::int32_t>& tokens) const {
  std::string text(add_space_prefix_ && after_special ? kSpaceMark : std::string_view());
  text += mark_spaces(raw);
  const std::string_view view = text;
  std::vector<Symbol> symbols;
  for (std::size_t at = 0; at < view.size();) {
    const std::size_t bytes = std::min(announced_bytes(view[at]), view.size() - at);
    symbols.push_back({static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(bytes),
                       vocabulary.find_data(view.substr(at, bytes))});
    at += bytes;
  }
  merge_symbols(symbols, [&](const Symbol& left, const Symbol& right) -> Merge {
    const std::int32_t id = vocabulary.find_data(view.substr(left.begin, left.bytes + right.bytes));
    if (id < 0) return {};
    return {id, -static_cast<double>(scores_[static_cast<std::size_t>(id)])};
  });
  for (const Symbol& symbol : symbols) {
    if (symbol.id >= 0) {
      tokens.push_back(symbol.id);
      continue;
    }
    for (const char byte : view.substr(symbol.begin, symbol.bytes)) {
      tokens.push_back(byte_tokens_[static_cast<unsigned char>(byte)]);
    }
  }
}

}  // namespace gguf_fuse::runtime::detail
