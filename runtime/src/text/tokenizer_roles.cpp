// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <initializer_list>

#include "text/tokenizer_special.hpp"

namespace gguf_fuse::runtime::detail {
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
  std::string_view old_key;  // of files from before 2024-10; it counts where there are both
  std::array<std::string_view, 8> texts;
  bool ends;  // an answer ends there too
};
constexpr FillRow kFill[] = {
    {"fim_pre_token_id",
     "prefix_token_id",
     {"<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>", "<|code_prefix|>",
      "<|prefix|>"},
     false},
    {"fim_suf_token_id",
     "suffix_token_id",
     {"<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>", "<|code_suffix|>",
      "<|suffix|>"},
     false},
    {"fim_mid_token_id",
     "middle_token_id",
     {"<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>", "<|code_middle|>",
      "<|middle|>"},
     false},
    {"fim_pad_token_id", "", {"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"}, true},
    {"fim_rep_token_id", "", {"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"}, true},
    {"fim_sep_token_id", "", {"<|file_sep|>"}, true}};

// Harmony's channels are part of what the user is shown.
constexpr std::string_view kShown[] = {"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"};

class RoleReader {
 public:
  RoleReader(const Metadata& metadata, const Vocabulary& vocabulary, const std::string& path,
             std::vector<std::string>& notes)
      : metadata_(metadata), vocabulary_(vocabulary), path_(path), notes_(notes) {}

  /// The id that a key names, or `otherwise`; -1 is none.
  [[nodiscard]] Result<std::int32_t> id(std::string_view name, std::int32_t otherwise) const {
    if (!vocabulary_.contains(otherwise)) otherwise = -1;
    const std::string key = fmt::format("tokenizer.ggml.{}", name);
    const auto value = metadata_.find(key);
    if (!value) return otherwise;
    const auto number = value->as_signed();  // 2^32 - 1 and -1 are how files say that there is none
    if (!number && !value->as_unsigned()) {
      return fail(Error{.code = ErrorCode::WrongValueType,
                        .path = path_,
                        .subject = key,
                        .expected = "an integer",
                        .actual = value->display()});
    }
    if (number && vocabulary_.contains(*number)) return static_cast<std::int32_t>(*number);
    notes_.push_back(fmt::format("{} is {}, which is no token (there are {}): {}", key, value->display(),
                                 vocabulary_.size(),
                                 otherwise < 0 ? "the model has none" : fmt::format("{} is taken", otherwise)));
    return otherwise;
  }

 private:
  const Metadata& metadata_;
  const Vocabulary& vocabulary_;
  const std::string& path_;
  std::vector<std::string>& notes_;
};

}  // namespace

Result<void> read_token_roles(const Metadata& metadata, const Vocabulary& vocabulary, const std::string& path,
                              TokenRoles& roles, std::vector<std::string>& notes) {
  const RoleReader reader(metadata, vocabulary, path, notes);
  GGUF_FUSE_ASSIGN(roles.bos, reader.id("bos_token_id", roles.bos));
  GGUF_FUSE_ASSIGN(roles.eos, reader.id("eos_token_id", roles.eos));
  GGUF_FUSE_ASSIGN(roles.unknown, reader.id("unknown_token_id", roles.unknown));
  roles.end_of_generation = {roles.eos};
  for (const std::string_view key : {"eot_token_id", "eom_token_id"}) {
    GGUF_FUSE_ASSIGN(const std::int32_t id, reader.id(key, -1));
    roles.end_of_generation.push_back(id);
  }
  for (const FillRow& row : kFill) {
    GGUF_FUSE_ASSIGN(std::int32_t id, reader.id(row.key, -1));
    if (!row.old_key.empty()) {
      GGUF_FUSE_ASSIGN(id, reader.id(row.old_key, id));
    }
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

}  // namespace gguf_fuse::runtime::detail
