// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "gguf_fuse/loader/error.hpp"
#include "gguf_fuse/loader/export.hpp"

namespace gguf_fuse {

/// One message of a conversation.
struct ChatMessage {
  std::string role;  ///< "system", "user" or "assistant"
  std::string content;
};

/// What stands around a message of one role.
struct ChatTurn {
  std::string_view before{};
  std::string_view after{};
  bool trim = false;  ///< white space around the content is dropped
};

/// How a family of models was taught to read conversations. BOS is not part of it: tokenize() adds it.
struct ChatTemplate {
  std::string_view name;
  std::string_view start{};       ///< once, before everything
  std::string_view open_first{};  ///< before the message that opens the first exchange
  std::string_view open_again{};  ///< before the message that opens a later one; an assistant's message closes one
  ChatTurn system{};
  ChatTurn user{};
  ChatTurn assistant{};
  std::string_view end{};             ///< what the model says at the end of an answer: the beginning of assistant.after
  std::string_view generation{};      ///< opens the assistant's answer
  bool system_in_user = false;        ///< the model knows no system role: it goes into the next user message
  std::string_view default_system{};  ///< the system message when the conversation begins with none
};

[[nodiscard]] GGUF_FUSE_EXPORT std::span<const ChatTemplate> chat_templates();
/// By name, as in --chat-template (llama.cpp's names, and a few more); nullptr when there is none.
[[nodiscard]] GGUF_FUSE_EXPORT const ChatTemplate* find_chat_template(std::string_view name);
/// Recognises the Jinja text of `tokenizer.chat_template` by what is typical of it; no Jinja is run. `path` is for the
/// message. Errors: UnsupportedTemplate, with the beginning of the text.
[[nodiscard]] GGUF_FUSE_EXPORT Result<const ChatTemplate*> recognise_chat_template(std::string_view text,
                                                                                   std::string path);

/// The whole conversation as text, with the opening of an answer behind it on request. Errors: InvalidArgument (a role
/// that is none of the three).
[[nodiscard]] GGUF_FUSE_EXPORT Result<std::string> format_chat(const ChatTemplate& chat_template,
                                                               std::span<const ChatMessage> messages,
                                                               bool add_generation_prompt);

/// What to append for `next` to a context that holds `history` already: as format_chat gave it, its last answer as the
/// model said it, with its end token. Ends with the opening of the answer. Errors: as format_chat.
[[nodiscard]] GGUF_FUSE_EXPORT Result<std::string> format_next_turn(const ChatTemplate& chat_template,
                                                                    std::span<const ChatMessage> history,
                                                                    const ChatMessage& next);

}  // namespace gguf_fuse
