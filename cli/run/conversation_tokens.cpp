// SPDX-License-Identifier: MIT
#include "conversation_tokens.hpp"

namespace gguf_fuse::cli {

Result<std::vector<std::int32_t>> conversation_tokens(const ChatTemplate& chat_template, const Tokenizer& tokenizer,
                                                      std::span<const ChatMessage> messages,
                                                      const ChatOptions& options) {
  GGUF_FUSE_ASSIGN(const RenderedChat chat, chat_template.render(messages, options));
  return chat_tokens(tokenizer, chat);
}

Result<std::vector<std::int32_t>> prompt_tokens(const Tokenizer& tokenizer, const std::string& prompt) {
  GGUF_FUSE_ASSIGN(auto tokens, tokenizer.tokenize(prompt, {.add_special = true, .parse_special = true}));
  if (tokens.empty() && tokenizer.bos()) tokens.push_back(*tokenizer.bos());
  return tokens;
}

}  // namespace gguf_fuse::cli
