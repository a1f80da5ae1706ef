// SPDX-License-Identifier: MIT
#include "text/chat_formats.hpp"

#include <utility>

// Formats as the models' cards and their tokenizer_config.json give them, under llama.cpp's names.

namespace gguf_fuse::runtime::detail {
namespace {

constexpr ChatTurn kChatmlSystem{"<|im_start|>system\n", "<|im_end|>\n"};
constexpr ChatTurn kChatmlUser{"<|im_start|>user\n", "<|im_end|>\n"};
constexpr ChatTurn kChatmlAssistant{"<|im_start|>assistant\n", "<|im_end|>\n"};
constexpr ChatFormat kChatml{.name = "chatml",
                             .system = kChatmlSystem,
                             .user = kChatmlUser,
                             .assistant = kChatmlAssistant,
                             .generation = kChatmlAssistant.before};

// Another name, and the system message that the model was trained with when it is given none.
constexpr ChatFormat chatml_with(std::string_view name, std::string_view default_system) {
  ChatFormat row = kChatml;
  row.name = name;
  row.default_system = default_system;
  return row;
}

// The Llama 2 family: a system message stands inside the first [INST].
constexpr ChatFormat llama2(std::string_view name, ChatTurn system, std::string_view open_again, bool trim) {
  return {.name = name,
          .open_first = "[INST] ",
          .open_again = open_again,
          .system = system,
          .user = {"", " [/INST]", trim},
          .assistant = {"", "</s>", trim}};
}

constexpr ChatFormat mistral(std::string_view name, std::string_view open, std::string_view close, ChatTurn answer) {
  return {.name = name,
          .open_first = open,
          .open_again = open,
          .system = {"", "\n\n"},
          .user = {"", close},
          .assistant = answer};
}

constexpr ChatFormat kFormats[] = {
    kChatml,
    chatml_with("smollm", "You are a helpful AI assistant named SmolLM, trained by Hugging Face"),
    chatml_with("qwen2.5", "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."),
    llama2("llama2", {"", "\n"}, "[INST] ", false),
    llama2("llama2-sys", {"<<SYS>>\n", "\n<</SYS>>\n\n"}, "[INST] ", false),
    llama2("llama2-sys-bos", {"<<SYS>>\n", "\n<</SYS>>\n\n"}, "<s>[INST] ", false),
    llama2("llama2-sys-strip", {"<<SYS>>\n", "\n<</SYS>>\n\n", true}, "[INST] ", true),
    mistral("mistral-v1", " [INST] ", " [/INST]", {" ", "</s>"}),
    mistral("mistral-v3", "[INST] ", "[/INST]", {" ", "</s>", true}),
    mistral("mistral-v3-tekken", "[INST]", "[/INST]", {"", "</s>"}),
    {.name = "mistral-v7",
     .system = {"[SYSTEM_PROMPT] ", "[/SYSTEM_PROMPT]"},
     .user = {"[INST] ", "[/INST]"},
     .assistant = {" ", "</s>"}},
    {.name = "mistral-v7-tekken",
     .system = {"[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"},
     .user = {"[INST]", "[/INST]"},
     .assistant = {"", "</s>"}},
    {.name = "llama3",
     .system = {"<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>", true},
     .user = {"<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>", true},
     .assistant = {"<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>", true},
     .generation = "<|start_header_id|>assistant<|end_header_id|>\n\n"},
    {.name = "llama4",
     .system = {"<|header_start|>system<|header_end|>\n\n", "<|eot|>", true},
     .user = {"<|header_start|>user<|header_end|>\n\n", "<|eot|>", true},
     .assistant = {"<|header_start|>assistant<|header_end|>\n\n", "<|eot|>", true},
     .generation = "<|header_start|>assistant<|header_end|>\n\n"},
    {.name = "gemma",
     .system = {"", "\n\n", true},
     .user = {"<start_of_turn>user\n", "<end_of_turn>\n", true},
     .assistant = {"<start_of_turn>model\n", "<end_of_turn>\n", true},
     .generation = "<start_of_turn>model\n",
     .system_in_user = true},
    {.name = "phi3",
     .system = {"<|system|>\n", "<|end|>\n"},
     .user = {"<|user|>\n", "<|end|>\n"},
     .assistant = {"<|assistant|>\n", "<|end|>\n"},
     .generation = "<|assistant|>\n"},
    {.name = "phi4",
     .system = {"<|im_start|>system<|im_sep|>", "<|im_end|>"},
     .user = {"<|im_start|>user<|im_sep|>", "<|im_end|>"},
     .assistant = {"<|im_start|>assistant<|im_sep|>", "<|im_end|>"},
     .generation = "<|im_start|>assistant<|im_sep|>"},
    {.name = "zephyr",
     .system = {"<|system|>\n", "<|endoftext|>\n"},
     .user = {"<|user|>\n", "<|endoftext|>\n"},
     .assistant = {"<|assistant|>\n", "<|endoftext|>\n"},
     .generation = "<|assistant|>\n"},
    {.name = "gpt-oss",
     .system = {"<|start|>system<|message|>", "<|end|>"},
     .user = {"<|start|>user<|message|>", "<|end|>"},
     .assistant = {"<|start|>assistant<|message|>", "<|return|>"},
     .generation = "<|start|>assistant"},
    {.name = "granite",
     .system = {"<|start_of_role|>system<|end_of_role|>", "<|end_of_text|>\n"},
     .user = {"<|start_of_role|>user<|end_of_role|>", "<|end_of_text|>\n"},
     .assistant = {"<|start_of_role|>assistant<|end_of_role|>", "<|end_of_text|>\n"},
     .generation = "<|start_of_role|>assistant<|end_of_role|>"},
    // The model ends its answer with the opening of the next message, which is no part of the format.
    {.name = "chatglm4",
     .start = "[gMASK]<sop>",
     .system = {"<|system|>\n", ""},
     .user = {"<|user|>\n", ""},
     .assistant = {"<|assistant|>\n", ""},
     .generation = "<|assistant|>\n"},
    {.name = "deepseek2",
     .system = {"", "\n\n"},
     .user = {"User: ", "\n\n"},
     .assistant = {"Assistant: ", "<｜end▁of▁sentence｜>"},
     .generation = "Assistant:"},
    {.name = "deepseek3",
     .system = {"", "\n\n"},
     .user = {"<｜User｜>", ""},
     .assistant = {"<｜Assistant｜>", "<｜end▁of▁sentence｜>"},
     .generation = "<｜Assistant｜>"},
    {.name = "command-r",
     .system = {"<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>", "<|END_OF_TURN_TOKEN|>", true},
     .user = {"<|START_OF_TURN_TOKEN|><|USER_TOKEN|>", "<|END_OF_TURN_TOKEN|>", true},
     .assistant = {"<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>", "<|END_OF_TURN_TOKEN|>", true},
     .generation = "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>"},
};

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\n\v\f\r";
  const std::size_t first = text.find_first_not_of(kSpaces);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpaces) - first + 1);
}

struct RoleRow {
  std::string_view name;
  ChatTurn ChatFormat::*turn;
};
constexpr RoleRow kRoles[] = {
    {"system", &ChatFormat::system}, {"user", &ChatFormat::user}, {"assistant", &ChatFormat::assistant}};

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

std::span<const ChatFormat> chat_formats() { return kFormats; }

Result<jinja::Text> format_chat(const ChatFormat& format, std::span<const ChatMessage> messages,
                                bool add_generation_prompt) {
  constexpr jinja::Origin kMarkup = jinja::Origin::Template;
  jinja::Text text(std::string(format.start), kMarkup);
  std::string_view opening = format.open_first;
  jinja::Text system;  // waits for the next user message
  const auto put = [&](const ChatTurn& turn, const jinja::Text& content) {
    text.append(opening, kMarkup);
    text.append(turn.before, kMarkup);
    text.append(content);
    text.append(turn.after, kMarkup);
    opening = {};
  };
  if (!messages.empty() && messages.front().role != "system" && !format.default_system.empty()) {
    put(format.system, jinja::Text(std::string(format.default_system), kMarkup));
  }
  for (const ChatMessage& message : messages) {
    GGUF_FUSE_ASSIGN(const RoleRow* const role, find_role(message.role));
    const ChatTurn& turn = format.*(role->turn);
    jinja::Text content(std::string(turn.trim ? trimmed(message.content) : message.content), jinja::Origin::Data);
    if (role->turn == &ChatFormat::system && format.system_in_user) {
      system.append(content);
      continue;
    }
    if (role->turn == &ChatFormat::user && system.size() > 0) {
      jinja::Text both = std::exchange(system, {});
      both.append(format.system.after, kMarkup);
      both.append(content);
      content = std::move(both);
    }
    put(turn, content);
    if (role->turn == &ChatFormat::assistant) opening = format.open_again;
  }
  if (add_generation_prompt) text.append(format.generation, kMarkup);
  return text;
}

}  // namespace gguf_fuse::runtime::detail
