// SPDX-License-Identifier: MIT
#include "gguf_fuse/runtime/chat.hpp"

#include <fmt/format.h>

#include <utility>

#include "gguf_fuse/jinja/template.hpp"
#include "text/chat_formats.hpp"

namespace gguf_fuse::runtime {

/// A Jinja text and what was found out about it, or a format.
struct ChatTemplate::State {
  const ChatFormat* format = nullptr;
  std::optional<jinja::Template> jinja{};
  std::string path{};
  std::string bos{};
  std::string eos{};
  bool parts = false;           ///< content is a list of parts
  bool system_in_user = false;  ///< as in ChatFormat
};

namespace {

using jinja::Heap;
using jinja::Origin;
using jinja::Value;

Value markup(std::string text) { return {std::move(text), Origin::Template}; }
Value data(std::string text) { return {std::move(text), Origin::Data}; }

Value content_value(Heap& heap, const std::string& content, bool parts) {
  if (!parts) return data(content);
  jinja::Dict* const part = heap.dict();
  part->set("type", markup("text"));
  part->set("text", data(content));
  return Value(heap.list({Value(part)}));
}

Value message_value(Heap& heap, const ChatMessage& message, bool parts) {
  jinja::Dict* const dict = heap.dict();
  dict->set("role", markup(message.role));
  dict->set("content", content_value(heap, message.content, parts));
  if (!message.reasoning.empty()) dict->set("reasoning_content", data(message.reasoning));
  return Value(dict);
}

// A system message becomes the beginning of the user's message behind it.
std::vector<ChatMessage> without_system(std::span<const ChatMessage> messages) {
  std::vector<ChatMessage> result;
  std::string system;
  for (const ChatMessage& message : messages) {
    if (message.role == "system") {
      system += message.content + "\n\n";
      continue;
    }
    result.push_back(message);
    if (message.role == "user") result.back().content.insert(0, std::exchange(system, {}));
  }
  return result;
}

Result<jinja::Dict*> variables_of(Heap& heap, const ChatOptions& options) {
  jinja::Dict* variables = heap.dict();
  // As transformers calls a template: what there is none of is none, and not undefined.
  variables->set("tools", Value(jinja::None{}));
  variables->set("documents", Value(jinja::None{}));
  if (!options.tools.empty()) {
    GGUF_FUSE_ASSIGN(Value tools, jinja::parse_json(heap, options.tools, Origin::Data));
    variables->set("tools", std::move(tools));
  }
  if (options.reasoning) {
    variables->set("enable_thinking", Value(*options.reasoning));
    variables->set("thinking", Value(*options.reasoning));  // DeepSeek's name for it
  }
  if (!options.variables.empty()) {
    GGUF_FUSE_ASSIGN(const Value more, jinja::parse_json(heap, options.variables, Origin::Data));
    if (more.dict() == nullptr) {
      return fail(Error{.code = ErrorCode::TemplateFailed,
                        .subject = "the template's variables",
                        .expected = "a JSON object",
                        .actual = escape_text(options.variables)});
    }
    for (const auto& [name, value] : more.dict()->entries) variables->set(name.text()->bytes(), value);
  }
  return variables;
}

Result<jinja::Text> render_jinja(const ChatTemplate::State& state, std::span<const ChatMessage> messages,
                                 const ChatOptions& options) {
  Heap heap;
  GGUF_FUSE_ASSIGN(jinja::Dict* const variables, variables_of(heap, options));
  std::vector<Value> values;
  values.reserve(messages.size());
  for (const ChatMessage& message : messages) values.push_back(message_value(heap, message, state.parts));
  variables->set("messages", Value(heap.list(std::move(values))));
  variables->set("add_generation_prompt", Value(options.add_generation_prompt));
  variables->set("bos_token", markup(state.bos));
  variables->set("eos_token", markup(state.eos));
  return state.jinja->render(heap, *variables);
}

// Whether all contents of a conversation come through.
bool shows(const ChatTemplate::State& state, std::span<const ChatMessage> messages) {
  const auto text = render_jinja(state, messages, {});
  if (!text) return false;
  for (const ChatMessage& message : messages) {
    if (text->bytes().find(message.content) == std::string::npos) return false;
  }
  return true;
}

// Templates do not say what they can read, so it is tried.
void probe(ChatTemplate::State& state) {
  const ChatMessage user{"user", "probe-of-the-user"};
  const std::vector<ChatMessage> both = {{"system", "probe-of-the-system"}, user};
  bool reads = shows(state, {&user, 1});
  if (!reads) {
    state.parts = true;
    state.parts = reads = shows(state, {&user, 1});
  }
  state.system_in_user = reads && !shows(state, both);
}

RenderedChat rendered(const jinja::Text& text) {
  RenderedChat chat{.text = text.bytes()};
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.origin(i) != Origin::Template) continue;
    if (chat.markup.empty() || chat.markup.back().end != i) chat.markup.push_back({i, i});
    chat.markup.back().end = i + 1;
  }
  return chat;
}

}  // namespace

ChatTemplate::ChatTemplate(std::shared_ptr<const State> state) : state_(std::move(state)) {}

Result<ChatTemplate> ChatTemplate::parse(std::string_view text, const Tokenizer& tokenizer, std::string path) {
  if (text.empty()) {
    return fail(Error{.code = ErrorCode::UnsupportedTemplate,
                      .path = std::move(path),
                      .subject = "tokenizer.chat_template",
                      .expected = "a template",
                      .actual = "none"});
  }
  auto parsed = jinja::Template::parse(text);
  if (!parsed) {
    parsed.error().path = std::move(path);
    return fail(std::move(parsed.error()));
  }
  auto state = std::make_shared<State>();
  state->jinja = std::move(*parsed);
  state->path = std::move(path);
  if (tokenizer.bos()) state->bos = tokenizer.piece(*tokenizer.bos(), true);
  if (tokenizer.eos()) state->eos = tokenizer.piece(*tokenizer.eos(), true);
  probe(*state);
  return ChatTemplate(std::move(state));
}

std::vector<std::string> ChatTemplate::builtin_names() {
  std::vector<std::string> names;
  for (const ChatFormat& format : chat_formats()) names.emplace_back(format.name);
  return names;
}

Result<ChatTemplate> ChatTemplate::builtin(std::string_view name) {
  for (const ChatFormat& format : chat_formats()) {
    if (format.name == name) return ChatTemplate(std::make_shared<State>(State{.format = &format}));
  }
  return fail(Error{.code = ErrorCode::InvalidArgument,
                    .subject = "the chat template",
                    .expected = fmt::format("one of {}", fmt::join(builtin_names(), ", ")),
                    .actual = std::string(name)});
}

std::string_view ChatTemplate::name() const { return state_->format == nullptr ? "jinja" : state_->format->name; }

Result<RenderedChat> ChatTemplate::render(std::span<const ChatMessage> messages, const ChatOptions& options) const {
  if (state_->format != nullptr) {
    GGUF_FUSE_ASSIGN(const jinja::Text text, format_chat(*state_->format, messages, options.add_generation_prompt));
    return rendered(text);
  }
  const std::vector<ChatMessage> merged =
      state_->system_in_user ? without_system(messages) : std::vector<ChatMessage>{};
  auto text = render_jinja(*state_, state_->system_in_user ? std::span<const ChatMessage>(merged) : messages, options);
  if (!text) {
    text.error().path = state_->path;
    return fail(std::move(text.error()));
  }
  return rendered(*text);
}

Result<std::vector<std::int32_t>> chat_tokens(const Tokenizer& tokenizer, const RenderedChat& chat) {
  GGUF_FUSE_ASSIGN(std::vector<std::int32_t> tokens, tokenizer.tokenize(chat.text, chat.markup));
  if (tokenizer.adds_bos() && (tokens.empty() || tokens.front() != *tokenizer.bos())) {
    tokens.insert(tokens.begin(), *tokenizer.bos());
  }
  return tokens;
}

}  // namespace gguf_fuse::runtime
