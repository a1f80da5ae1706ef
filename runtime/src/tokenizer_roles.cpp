// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <initializer_list>

#include "tokenizer_special.hpp"

namespace gguf_fuse {
namespace {

// An answer ends at any of these.
constexpr std::string_view kEnds[] = {"<|eot_id|>",
                                      "<|im_end|>",
                                      "<|end|>",
                                      "<|return|>",
                                      "<|call|>",
                                      "<|flush|>",
                                      "<|calls|>",
                                      "<end_of_turn>",
                                      "<|endoftext|>",
                                      "</s>",
                                      "<|eom_id|>",
                                      "<EOT>",
                                      "_<EOT>",
                                      "[EOT]",
                                      "[EOS]",
                                      "<|end_of_text|>",
                                      "<end_of_utterance>",
                                      "<eos>",
                                      "<turn|>",
                                      "<|tool_response>",
                                      "<｜end▁of▁sentence｜>",
                                      "[e~["};

// Of fill-in-the-middle prompts: the first of a row that is a token is a control token.
struct FillRow {
  std::string_view key;
  std::array<std::string_view, 8> texts;
  bool ends;  // an answer ends there too
};
constexpr FillRow kFill[] = {
    {"fim_pre_token_id",
     {"<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>", "<|code_prefix|>",
      "<|prefix|>"},
     false},
    {"fim_suf_token_id",
     {"<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>", "<|code_suffix|>",
      "<|suffix|>"},
     false},
    {"fim_mid_token_id",
     {"<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>", "<|code_middle|>",
      "<|middle|>"},
     false},
    {"fim_pad_token_id", {"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"}, true},
    {"fim_rep_token_id", {"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"}, true},
    {"fim_sep_token_id", {"<|file_sep|>"}, true}};

// Harmony's channels are part of what the user is shown.
constexpr std::string_view kShown[] = {"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"};

Result<std::int32_t> token_id(const Metadata& metadata, const Vocabulary& vocabulary, std::string_view name,
                              std::int32_t otherwise, const std::string& path) {
  const std::string key = "tokenizer.ggml." + std::string(name);
  if (!metadata.find(key)) return vocabulary.contains(otherwise) ? otherwise : -1;
  GGUF_FUSE_ASSIGN(const std::uint64_t id, metadata.get_unsigned(key));
  if (id < vocabulary.size()) return static_cast<std::int32_t>(id);
  return fail(Error{.code = ErrorCode::BadHyperparameter,
                    .path = path,
                    .subject = key,
                    .expected = fmt::format("a token, 0 to {}", vocabulary.size() - 1),
                    .actual = fmt::format("{}", id)});
}

}  // namespace

Result<void> read_token_roles(const Metadata& metadata, const Vocabulary& vocabulary, const std::string& path,
                              TokenRoles& roles) {
  GGUF_FUSE_ASSIGN(roles.bos, token_id(metadata, vocabulary, "bos_token_id", roles.bos, path));
  GGUF_FUSE_ASSIGN(roles.eos, token_id(metadata, vocabulary, "eos_token_id", roles.eos, path));
  GGUF_FUSE_ASSIGN(roles.unknown, token_id(metadata, vocabulary, "unknown_token_id", roles.unknown, path));
  roles.end_of_generation = {roles.eos};
  for (const std::string_view key : {"eot_token_id", "eom_token_id"}) {
    GGUF_FUSE_ASSIGN(const std::int32_t id, token_id(metadata, vocabulary, key, -1, path));
    roles.end_of_generation.push_back(id);
  }
  for (const FillRow& row : kFill) {
    GGUF_FUSE_ASSIGN(const std::int32_t id, token_id(metadata, vocabulary, row.key, -1, path));
    roles.fill.push_back(id);
  }
  return {};
}

void complete_token_roles(Vocabulary& vocabulary, TokenRoles& roles) {
  std::vector<std::int32_t>& ends = roles.end_of_generation;
  const auto has_end = [&](std::string_view text) {
    const std::int32_t token = vocabulary.find(text);
    return token >= 0 && std::find(ends.begin(), ends.end(), token) != ends.end();
  };
  const auto drop_end = [&](std::string_view text, TokenType type) {
    if (!has_end(text)) return;
    const std::int32_t token = vocabulary.find(text);
    ends.erase(std::remove(ends.begin(), ends.end(), token), ends.end());
    vocabulary.set_type(token, type);
  };
  for (std::size_t i = 0; i < std::size(kFill); ++i) {
    std::int32_t token = roles.fill[i];
    for (const std::string_view text : kFill[i].texts) {
      if (token >= 0 || text.empty()) break;
      token = vocabulary.find(text);
      if (token >= 0) vocabulary.set_type(token, TokenType::Control);
    }
    if (kFill[i].ends) ends.push_back(token);
  }
  for (const std::string_view text : kEnds) {
    const std::int32_t token = vocabulary.find(text);
    ends.push_back(token);
    if (token >= 0) vocabulary.set_type(token, TokenType::Control);
  }
  for (const std::string_view text : kShown) {
    if (const std::int32_t token = vocabulary.find(text); token >= 0)
      vocabulary.set_type(token, TokenType::UserDefined);
  }
  // Where a whole answer is ended by other tokens, <|end|> only ends one of its messages.
  const bool calls = has_end("<|call|>") || has_end("<|calls|>");
  if (calls && (has_end("<|return|>") || has_end("<|flush|>"))) drop_end("<|end|>", TokenType::UserDefined);
  // Gemma 4 has </s> as an ordinary word.
  if (has_end("<|tool_response>")) drop_end("</s>", TokenType::Normal);

  std::sort(ends.begin(), ends.end());
  ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
  ends.erase(ends.begin(), std::find_if(ends.begin(), ends.end(), [](std::int32_t token) { return token >= 0; }));
}

}  // namespace gguf_fuse
