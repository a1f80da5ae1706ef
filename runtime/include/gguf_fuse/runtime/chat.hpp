// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gguf_fuse/loader/error.hpp"
#include "gguf_fuse/loader/export.hpp"
#include "gguf_fuse/runtime/tokenizer.hpp"

namespace gguf_fuse::runtime {

/// One message of a conversation. Its role is the program's word; everything else is data, whoever wrote it.
struct ChatMessage {
  std::string role;  ///< "system", "user" or "assistant"; a template may know more ("tool")
  std::string content;
  std::string reasoning{};  ///< of an assistant's answer, where it was kept apart: reasoning_content
};

/// What a template is told besides the messages. Built-in templates only look at the first.
struct ChatOptions {
  bool add_generation_prompt = true;  ///< the opening of an answer behind the messages
  std::optional<bool> reasoning{};    ///< enable_thinking; none: what the template does by itself
  std::string tools{};                ///< JSON, a list of functions as OpenAI's API has them
  std::string variables{};            ///< JSON, an object of more variables (llama.cpp: --chat-template-kwargs)
};

/// A conversation as text.
struct RenderedChat {
  std::string text{};
  std::vector<TextSpan> markup{};  ///< what the template itself wrote; in order, none touching the next
};

/// How a model was taught to read conversations: a Jinja text, or one of the formats that are built in.
class GGUF_FUSE_EXPORT ChatTemplate {
 public:
  /// The Jinja text of `tokenizer.chat_template`. `tokenizer` tells the texts of BOS and EOS; `path` is for messages.
  /// Tries which form of content the template reads (a text, or a list of parts) and whether it knows a system message;
  /// where it does not, that is put before the user's first. Errors: UnsupportedTemplate (an empty text),
  /// TemplateSyntax.
  [[nodiscard]] static Result<ChatTemplate> parse(std::string_view jinja, const Tokenizer& tokenizer, std::string path);
  /// By name, as in --chat-template (llama.cpp's names, and a few more). Errors: InvalidArgument, with the names.
  [[nodiscard]] static Result<ChatTemplate> builtin(std::string_view name);
  [[nodiscard]] static std::vector<std::string> builtin_names();

  /// "jinja", or the name of one that is built in.
  [[nodiscard]] std::string_view name() const;

  /// The whole conversation. Errors: TemplateFailed (also when `options` are not JSON), TemplateLimit; of built-in
  /// templates InvalidArgument (a role that they do not know).
  [[nodiscard]] Result<RenderedChat> render(std::span<const ChatMessage> messages,
                                            const ChatOptions& options = {}) const;

  struct State;

 private:
  explicit ChatTemplate(std::shared_ptr<const State> state);
  std::shared_ptr<const State> state_;
};

/// The tokens of a conversation: BOS before it where the model wants it and the template did not write it, and control
/// tokens only where the template wrote them. Errors: those of tokenize.
[[nodiscard]] GGUF_FUSE_EXPORT Result<std::vector<std::int32_t>> chat_tokens(const Tokenizer& tokenizer,
                                                                             const RenderedChat& chat);

}  // namespace gguf_fuse::runtime
