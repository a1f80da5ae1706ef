// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string_view>

#include "gguf_fuse/jinja/text.hpp"
#include "gguf_fuse/runtime/chat.hpp"

namespace gguf_fuse::runtime::detail {

/// What stands around a message of one role.
struct ChatTurn {
  std::string_view before{};
  std::string_view after{};
  bool trim = false;  ///< white space around the content is dropped
};

/// A built-in template. BOS is not part of it: chat_tokens() adds it.
struct ChatFormat {
  std::string_view name;
  std::string_view start{};       ///< once, before everything
  std::string_view open_first{};  ///< before the message that opens the first exchange
  std::string_view open_again{};  ///< before the message that opens a later one; an assistant's message closes one
  ChatTurn system{};
  ChatTurn user{};
  ChatTurn assistant{};
  std::string_view generation{};      ///< opens the assistant's answer
  bool system_in_user = false;        ///< the model knows no system role: it goes into the next user message
  std::string_view default_system{};  ///< the system message when the conversation begins with none
};

[[nodiscard]] std::span<const ChatFormat> chat_formats();
/// Errors: InvalidArgument (a role that is none of the three).
[[nodiscard]] Result<jinja::Text> format_chat(const ChatFormat& format, std::span<const ChatMessage> messages,
                                              bool add_generation_prompt);

}  // namespace gguf_fuse::runtime::detail
