// SPDX-License-Identifier: MIT
#include "conversation_tokens.hpp"

namespace gguf_fuse::cli {

Result<std::vector<std::int32_t>> conversation_tokens(const ChatTemplate& chat_template, const Tokenizer& tokenizer,
                                                      std::span<const ChatMessage> messages,
                                                      const ChatOptions& options) {
  GGUF_FUSE_ASSIGN(const RenderedChat chat, chat_template.render(messages, options));
  return chat_tokens(tokenizer, chat);
}

}  // namespace gguf_fuse::cli
