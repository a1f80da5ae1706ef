// SPDX-License-Identifier: MIT
// Formats against tests/data/vocab/chat_formats.json: what llama.cpp's llama_chat_apply_template made of the same
// messages, by the same names.
#include "gguf_fuse/runtime/chat.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

namespace gguf_fuse {
namespace {

using testing::HasSubstr;
using Messages = std::vector<ChatMessage>;

nlohmann::json reference() {
  return nlohmann::json::parse(std::ifstream(std::string(GGUF_FUSE_TEST_DATA) + "/vocab/chat_formats.json"));
}

Messages messages_of(const nlohmann::json& recorded) {
  Messages messages;
  for (const auto& message : recorded.at("messages")) messages.push_back({message.at(0), message.at(1)});
  return messages;
}

std::string format(const char* name, const Messages& messages, bool generation = true) {
  return format_chat(*find_chat_template(name), messages, generation).value();
}

TEST(Chat, FormatsOfLlamaCpp) {
  const auto recorded = reference();
  const Messages messages = messages_of(recorded);
  const Messages history(messages.begin(), messages.end() - 1);
  for (const auto& row : recorded.at("templates")) {
    const std::string name = row.at("name");
    const ChatTemplate* const chat = find_chat_template(name);
    ASSERT_NE(chat, nullptr) << name;
    EXPECT_EQ(format_chat(*chat, messages, true).value(), row.at("full")) << name;
    EXPECT_EQ(format_chat(*chat, history, false).value(), row.at("history")) << name;
    EXPECT_EQ(format_chat(*chat, {{messages[1]}}, true).value(), row.at("first")) << name;
    const Messages two_systems = {messages[0], {"system", "Speak Latin."}, messages[1]};
    EXPECT_EQ(format_chat(*chat, two_systems, false).value(), row.at("two_systems")) << name;
  }
}

TEST(Chat, EveryTemplateIsCompared) {
  std::set<std::string> compared = {"smollm", "qwen2.5"};  // below: llama.cpp has no name for them
  const auto recorded = reference();
  for (const auto& row : recorded.at("templates")) compared.insert(row.at("name"));
  std::set<std::string> known;
  for (const ChatTemplate& chat : chat_templates()) {
    EXPECT_TRUE(known.emplace(chat.name).second) << chat.name;
    EXPECT_TRUE(chat.assistant.after.starts_with(chat.end)) << chat.name;
  }
  EXPECT_EQ(known, compared);
}

TEST(Chat, DefaultSystemMessages) {
  EXPECT_EQ(format("smollm", {{"user", "Hi"}}),
            "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(format("qwen2.5", {{"user", "Hi"}}, false),
            "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
            "<|im_start|>user\nHi<|im_end|>\n");
  const Messages own = {{"system", "Be brief."}, {"user", "Hi"}};
  EXPECT_EQ(format("smollm", own), format("chatml", own));
}

// A context that grows turn by turn holds the same text as the conversation formatted at once.
TEST(Chat, NextTurnsContinueTheContext) {
  const Messages all = {{"system", "Be brief."}, {"user", "One?"},         {"assistant", "First."},
                        {"user", "Two?"},        {"assistant", "Second."}, {"user", "Three?"}};
  for (const ChatTemplate& chat : chat_templates()) {
    for (const std::size_t begin : {std::size_t{0}, std::size_t{1}}) {  // with and without a system message
      const Messages messages(all.begin() + static_cast<std::ptrdiff_t>(begin), all.end());
      std::string context;
      Messages history;
      for (const ChatMessage& message : messages) {
        if (message.role == "user") {
          context += format_next_turn(chat, history, message).value();
          // The answer's opening may be longer in the history than in the prompt ("Assistant:" and " "): the model says
          // it.
          if (context.ends_with(chat.generation)) {
            context.resize(context.size() - chat.generation.size());
          } else {
            ADD_FAILURE() << chat.name;
          }
        } else if (message.role == "assistant") {
          context += std::string(chat.assistant.before) + message.content + std::string(chat.end);
        } else if (history.empty() && !chat.system_in_user) {
          context += format_chat(chat, {{message}}, false).value();
        }
        history.push_back(message);
      }
      EXPECT_EQ(context, format_chat(chat, messages, false).value()) << chat.name;
    }
  }
}

TEST(Chat, UnknownRolesAndNames) {
  EXPECT_EQ(find_chat_template("chatml2"), nullptr);
  const auto text = format_chat(*find_chat_template("chatml"), {{ChatMessage{"tool", "x"}}}, true);
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(text.error().actual, "\"tool\"");
}

struct MarkRow {
  const char* name;
  const char* jinja;  // enough of what such a template holds
};

// The order of the marks matters: several of these hold the marks of others too.
constexpr MarkRow kMarks[] = {
    {"chatml", "{% for m in messages %}{{'<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n'}}"},
    {"smollm",
     "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}"},
    {"qwen2.5",
     "{{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\\n' }}"},
    {"phi4", "{{ '<|im_start|>user<|im_sep|>' + message['content'] + '<|im_end|>' }}"},
    {"mistral-v1", "{{ bos_token }}{{ ' [INST] ' + system_message + '\\n\\n' }}{{ ' [/INST]' }}"},
    {"mistral-v3", "{{- '[AVAILABLE_TOOLS] [' }}{{- '[INST] ' + message['content'] + '[/INST]' }}"},
    {"mistral-v3-tekken", "{{- \"[AVAILABLE_TOOLS][\" }}{{- \"[INST]\" + message[\"content\"] + \"[/INST]\" }}"},
    {"mistral-v7", "{{- '[SYSTEM_PROMPT] ' + system_message + '[/SYSTEM_PROMPT]' }}{{- '[INST] ' }}"},
    {"llama2", "{{ '[INST] ' + message['content'] + ' [/INST]' }}"},
    {"llama2-sys", "{{ '[INST] ' }}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' %}"},
    {"llama2-sys-bos", "{{ bos_token + '[INST] ' + content + ' [/INST]' }}{{ '<<SYS>>\\n' }}"},
    {"llama2-sys-strip", "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{{ '<<SYS>>\\n' }}"},
    {"phi3", "{{'<|user|>\\n' + message['content'] + '<|end|>\\n'}}{{ '<|assistant|>\\n' }}"},
    {"chatglm4", "[gMASK]<sop>{% for m in messages %}<|user|>\\n{{ m }}<|assistant|>\\n"},
    {"zephyr", "{{ '<|user|>\\n' + message['content'] + '<|endoftext|>\\n' }}"},
    {"gemma", "{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}"},
    {"command-r", "{{ '<|START_OF_TURN_TOKEN|><|USER_TOKEN|>' + content.strip() + '<|END_OF_TURN_TOKEN|>' }}"},
    {"llama3", "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}"},
    {"llama4", "{{- '<|header_start|>' + message['role'] + '<|header_end|>\\n\\n' }}"},
    {"deepseek2", "{{ 'User: ' }}{{ 'Assistant: ' + message['content'] + eos_token }}"},
    {"deepseek3", "{{'<｜User｜>' + message['content']}}{{'<｜Assistant｜>' + content + '<｜end▁of▁sentence｜>'}}"},
    {"granite", "{{- '<|start_of_role|>' + message['role'] + '<|end_of_role|>' }}"},
    {"gpt-oss", "{{- \"<|start|>assistant<|channel|>final<|message|>\" + content + \"<|end|>\" }}"},
};

TEST(Chat, TemplatesAreRecognised) {
  for (const MarkRow& row : kMarks) {
    const auto chat = recognise_chat_template(row.jinja, "m.gguf");
    ASSERT_TRUE(chat) << row.name;
    ASSERT_NE(*chat, nullptr) << row.name;
    EXPECT_EQ((*chat)->name, row.name);
  }
}

TEST(Chat, OtherTemplatesAreQuoted) {
  for (const char* start : {"", "{{ '<|im_start|>' }}<end_of_utterance>", "<|user|><|assistant|><|endoftext|>"}) {
    const auto chat = recognise_chat_template(std::string(start) + "\x1b[2J" + std::string(500, 'x'), "m.gguf");
    ASSERT_FALSE(chat) << start;
    EXPECT_EQ(chat.error().code, ErrorCode::UnsupportedTemplate);
    const std::string message = chat.error().message();
    EXPECT_THAT(message, HasSubstr(std::string("\"") + start + "\\x1b[2Jx"));
    EXPECT_THAT(message, HasSubstr("xxx...\""));
    EXPECT_LT(message.size(), 400U);
  }
}

}  // namespace
}  // namespace gguf_fuse
