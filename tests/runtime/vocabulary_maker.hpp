// SPDX-License-Identifier: MIT
// Vocabularies made for tests, and their tokenizers.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gguf_fuse/loader/container.hpp"
#include "gguf_fuse/runtime/tokenizer.hpp"
#include "support/gguf_builder.hpp"

namespace gguf_fuse::test_support::vocabularies {

using Ids = std::vector<std::int32_t>;
using Texts = std::vector<std::string>;

inline constexpr std::int32_t kNormal = 1;
inline constexpr std::int32_t kUnknown = 2;
inline constexpr std::int32_t kControl = 3;
inline constexpr std::int32_t kUserDefined = 4;
inline constexpr std::int32_t kByte = 6;

/// A vocabulary in the making. What is empty is not written.
struct Vocab {
  std::string model = "gpt2";
  std::string pre{};
  Texts tokens{};
  Ids types{};
  Texts merges{};
  std::vector<float> scores{};
  std::vector<std::pair<std::string, std::uint32_t>> ids{};
  std::vector<std::pair<std::string, std::int32_t>> signed_ids{};
  std::vector<std::pair<std::string, bool>> flags{};

  std::int32_t add(const std::string& text, std::int32_t type = kNormal) {
    tokens.push_back(text);
    types.push_back(type);
    return static_cast<std::int32_t>(tokens.size()) - 1;
  }
};

inline Result<Tokenizer> try_load(const Vocab& vocab) {
  const auto write = [&vocab](HeaderWriter& writer) {
    const auto views = [](const Texts& texts) { return std::vector<std::string_view>(texts.begin(), texts.end()); };
    const auto key = [](const std::string& name) { return "tokenizer.ggml." + name; };
    writer.add_string(key("model"), vocab.model);
    if (!vocab.pre.empty()) writer.add_string(key("pre"), vocab.pre);
    writer.add_string_array(key("tokens"), views(vocab.tokens));
    if (!vocab.types.empty()) writer.add_i32_array(key("token_type"), vocab.types);
    if (!vocab.merges.empty()) writer.add_string_array(key("merges"), views(vocab.merges));
    if (!vocab.scores.empty()) writer.add_f32_array(key("scores"), vocab.scores);
    for (const auto& [name, id] : vocab.ids) writer.add_u32(key(name), id);
    for (const auto& [name, id] : vocab.signed_ids) writer.add_i32(key(name), id);
    for (const auto& [name, flag] : vocab.flags) writer.add_bool(key(name), flag);
  };
  const Bytes file = GgufBuilder().keys(write).build();
  const auto source = memory_source(file, "vocab.gguf");
  const auto container = read_container(*source);
  return Tokenizer::load(container.value().metadata, "vocab.gguf");
}

inline Tokenizer load(const Vocab& vocab) { return try_load(vocab).value(); }

inline Ids ids_of(const Tokenizer& tokenizer, std::string_view text, TokenizeOptions options = {}) {
  return tokenizer.tokenize(text, options).value();
}

/// The letter that byte-level BPE writes for a byte, by the rule in GPT-2's encoder.py.
inline std::string byte_letter(unsigned byte) {
  const auto printable = [](unsigned value) {
    return (value >= '!' && value <= '~') || (value >= 0xa1 && value != 0xad);
  };
  unsigned code_point = byte;
  if (!printable(byte)) {
    code_point = 256;
    for (unsigned before = 0; before < byte; ++before) code_point += printable(before) ? 0U : 1U;
  }
  if (code_point < 0x80) return std::string(1, static_cast<char>(code_point));
  return {static_cast<char>(0xc0 | (code_point >> 6)), static_cast<char>(0x80 | (code_point & 0x3f))};
}

/// Token N is byte N.
inline Vocab byte_vocab(const std::string& pre) {
  Vocab vocab;
  vocab.pre = pre;
  for (unsigned byte = 0; byte < 256; ++byte) vocab.add(byte_letter(byte));
  vocab.add("ab");
  vocab.merges = {"a b"};
  return vocab;
}

}  // namespace gguf_fuse::test_support::vocabularies
