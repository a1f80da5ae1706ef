// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string>
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

/// A text as it is, behind what the model wants before it. A model that adds nothing has to begin somehow. Errors:
/// those of Tokenizer::tokenize.
[[nodiscard]] Result<std::vector<std::int32_t>> prompt_tokens(const Tokenizer& tokenizer, const std::string& prompt);

}  // namespace gguf_fuse::cli
