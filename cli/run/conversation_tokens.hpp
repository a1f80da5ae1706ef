// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <vector>

#include "gguf_fuse/runtime/chat.hpp"
#include "gguf_fuse/runtime/tokenizer.hpp"
#include "namespace.hpp"

namespace gguf_fuse::cli {

/// A whole conversation as the model reads it, with the opening of an answer behind it. The one place where messages
/// become tokens. Errors: those of ChatTemplate::render and chat_tokens.
[[nodiscard]] Result<std::vector<std::int32_t>> conversation_tokens(const ChatTemplate& chat_template,
                                                                    const Tokenizer& tokenizer,
                                                                    std::span<const ChatMessage> messages,
                                                                    const ChatOptions& options);

}  // namespace gguf_fuse::cli
