// SPDX-License-Identifier: MIT
#include "gguf_fuse/runtime/chat.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace gguf_fuse {
namespace {

// A template is the first row's all of whose marks are in the text, and whose foreign mark is not.
struct MarkRow {
  std::string_view name;
  std::array<std::string_view, 3> marks;
  std::string_view foreign{};
};

constexpr MarkRow kMarks[] = {
    {"phi4", {"<|im_start|>", "<|im_sep|>"}},
    {"smollm", {"<|im_start|>", "named SmolLM, trained by Hugging Face"}},
    {"qwen2.5", {"<|im_start|>", "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."}},
    // SmolVLM opens a text with <|im_start|> and then goes its own way.
    {"chatml", {"<|im_start|>"}, "<end_of_utterance>"},
    {"mistral-v7", {"[INST]", "[SYSTEM_PROMPT]"}},
    {"mistral-v1", {" [INST]", "' [INST] ' + system_message"}},
    {"mistral-v1", {" [INST]", "[AVAILABLE_TOOLS]"}},
    {"mistral-v3-tekken", {"\"[INST]\"", "[AVAILABLE_TOOLS]"}},
    {"mistral-v3", {"[INST]", "[AVAILABLE_TOOLS]"}},
    {"llama2-sys-strip", {"[INST]", "content.strip()"}},
    {"llama2-sys-bos", {"[INST]", "bos_token + '[INST]"}},
    {"llama2-sys", {"[INST]", "<<SYS>>"}},
    {"llama2", {"[INST]"}},
    {"phi3", {"<|assistant|>", "<|end|>"}},
    {"chatglm4", {"[gMASK]<sop>"}},
    {"zephyr", {"<|user|>", "<|endoftext|>"}, "<|assistant|>"},
    {"gemma", {"<start_of_turn>"}},
    {"command-r", {"<|START_OF_TURN_TOKEN|>", "<|USER_TOKEN|>"}},
    {"llama3", {"<|start_header_id|>", "<|end_header_id|>"}},
    {"deepseek2", {"'Assistant: ' + message['content'] + eos_token"}},
    {"deepseek3", {"<｜Assistant｜>", "<｜User｜>", "<｜end▁of▁sentence｜>"}},
    {"granite", {"<|start_of_role|>"}},
    {"llama4", {"<|header_start|>", "<|header_end|>"}},
    {"gpt-oss", {"<|start|>", "<|channel|>"}},
};

bool matches(const MarkRow& row, std::string_view text) {
  const auto contains = [text](std::string_view mark) { return text.find(mark) != std::string_view::npos; };
  return std::all_of(row.marks.begin(), row.marks.end(), contains) && (row.foreign.empty() || !contains(row.foreign));
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\n\v\f\r";
  const std::size_t first = text.find_first_not_of(kSpaces);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpaces) - first + 1);
}

struct RoleRow {
  std::string_view name;
  ChatTurn ChatTemplate::*turn;
};
constexpr RoleRow kRoles[] = {
    {"system", &ChatTemplate::system}, {"user", &ChatTemplate::user}, {"assistant", &ChatTemplate::assistant}};

Result<const RoleRow*> find_role(std::string_view name) {
  for (const RoleRow& row : kRoles) {
    if (row.name == name) return &row;
  }
  return fail(Error{.code = ErrorCode::InvalidArgument,
                    .subject = "role",
                    .expected = "system, user or assistant",
                    .actual = '"' + std::string(name) + '"'});
}

}  // namespace

const ChatTemplate* find_chat_template(std::string_view name) {
  for (const ChatTemplate& row : chat_templates()) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

Result<const ChatTemplate*> recognise_chat_template(std::string_view text, std::string path) {
  for (const MarkRow& row : kMarks) {
    if (matches(row, text)) return find_chat_template(row.name);
  }
  constexpr std::size_t kQuoted = 80;
  return fail(Error{.code = ErrorCode::UnsupportedTemplate,
                    .path = std::move(path),
                    .subject = "tokenizer.chat_template",
                    .actual = '"' + std::string(text.substr(0, kQuoted)) + (text.size() > kQuoted ? "...\"" : "\"")});
}

Result<std::string> format_chat(const ChatTemplate& chat, std::span<const ChatMessage> messages,
                                bool add_generation_prompt) {
  std::string text(chat.start);
  std::string_view opening = chat.open_first;
  std::string system;  // waits for the next user message
  const auto content_of = [](const ChatTurn& turn, std::string_view content) {
    return std::string(turn.trim ? trimmed(content) : content);
  };
  const auto put = [&](const ChatTurn& turn, std::string_view content) {
    text += opening;
    text += turn.before;
    text += content;
    text += turn.after;
    opening = {};
  };
  if (!messages.empty() && messages.front().role != "system" && !chat.default_system.empty()) {
    put(chat.system, chat.default_system);
  }
  for (const ChatMessage& message : messages) {
    GGUF_FUSE_ASSIGN(const RoleRow* const role, find_role(message.role));
    const ChatTurn& turn = chat.*(role->turn);
    std::string content = content_of(turn, message.content);
    if (role->turn == &ChatTemplate::system && chat.system_in_user) {
      system += content;
      continue;
    }
    if (role->turn == &ChatTemplate::user && !system.empty()) {
      system += chat.system.after;
      content.insert(0, std::exchange(system, {}));
    }
    put(turn, content);
    if (role->turn == &ChatTemplate::assistant) opening = chat.open_again;
  }
  if (add_generation_prompt) text += chat.generation;
  return text;
}

Result<std::string> format_next_turn(const ChatTemplate& chat, std::span<const ChatMessage> history,
                                     const ChatMessage& next) {
  std::vector<ChatMessage> messages(history.begin(), history.end());
  GGUF_FUSE_ASSIGN(const std::string before, format_chat(chat, messages, false));
  messages.push_back(next);
  GGUF_FUSE_ASSIGN(const std::string after, format_chat(chat, messages, true));
  // Conversations only grow at their end; the model said the end token itself, but not what the format has behind it.
  const bool answered = !history.empty() && history.back().role == "assistant";
  const std::size_t unsaid = answered ? chat.assistant.after.size() - chat.end.size() : 0;
  return after.substr(history.empty() ? 0 : before.size() - unsaid);
}

}  // namespace gguf_fuse
