// SPDX-License-Identifier: MIT
#include "conversation_tokens.hpp"

namespace gguf_fuse::cli {

Result<std::vector<std::int32_t>> conversation_tokens(const ChatTemplate& chat_template, const Tokenizer& tokenizer,
                                                      std::span<const ChatMessage> messages) {
  GGUF_FUSE_ASSIGN(const std::string text, format_chat(chat_template, messages, true));
  return tokenizer.tokenize(text, {.add_special = true, .parse_special = true});
}

}  // namespace gguf_fuse::cli
