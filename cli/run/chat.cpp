// SPDX-License-Identifier: MIT
#include "chat.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <utility>

#include "print.hpp"
#include "signals.hpp"

namespace gguf_fuse::cli {
namespace {

/// Lines of standard input. Not stdio: a signal has to end the waiting.
class LineReader {
 public:
  /// Nothing at the end of the input, or when a signal came.
  std::optional<std::string> next() {
    for (;;) {
      if (const std::size_t end = buffer_.find('\n'); end != std::string::npos) {
        std::string line = buffer_.substr(0, end);
        buffer_.erase(0, end + 1);
        return line;
      }
      char bytes[4096];
      const ssize_t count = read(STDIN_FILENO, bytes, sizeof bytes);
      if (count > 0) {
        buffer_.append(bytes, static_cast<std::size_t>(count));
        continue;
      }
      if (count < 0 && errno == EINTR && caught_signal() == 0) continue;  // the window's size changed, say
      if (count < 0 || buffer_.empty()) return std::nullopt;
      return std::exchange(buffer_, {});
    }
  }

 private:
  std::string buffer_;
};

/// A conversation and what the session holds of it.
class Conversation {
 public:
  Conversation(const RunOptions& options, const ChatTemplate& chat_template, Engine& engine, const Tokenizer& tokenizer,
               Control& control)
      : options_(options),
        template_(chat_template),
        session_(*engine.session),
        tokenizer_(tokenizer),
        control_(control),
        sampler_(options.sampler) {
    clear();
  }

  void clear() {
    history_.clear();
    if (!options_.system.empty()) history_.push_back({"system", options_.system});
    pending_.clear();
    static_cast<void>(session_.truncate(0));
  }

  /// Answers one message, showing the answer as it comes.
  Result<Generation> answer(const std::string& message) {
    GGUF_FUSE_ASSIGN(std::vector<std::int32_t> prompt, prompt_of({"user", message}));
    if (options_.verbose_prompt) list_prompt(tokenizer_, prompt);
    const std::uint32_t size_before = session_.size();
    GenerateOptions generate_options = options_.generate;
    generate_options.cancelled = &control_.cancelled;
    GGUF_FUSE_ASSIGN(Generation generation, generate(session_, tokenizer_, sampler_, prompt, generate_options,
                                                     [this](std::string_view text) { speak(text, control_); }));
    if (generation.tokens.empty() && generation.reason == FinishReason::Cancelled) {
      // as if the message had never been: the session may hold half of it
      GGUF_FUSE_CHECK(session_.truncate(size_before));
      return generation;
    }
    history_.push_back({"user", message});
    history_.push_back({"assistant", generation.text});
    GGUF_FUSE_CHECK(keep_for_next(generation));
    return generation;
  }

 private:
  Result<std::vector<std::int32_t>> prompt_of(const ChatMessage& message) {
    const bool first = session_.size() == 0;
    std::string text;
    if (first) {
      std::vector<ChatMessage> messages = history_;
      messages.push_back(message);
      GGUF_FUSE_ASSIGN(text, format_chat(template_, messages, true));
    } else {
      GGUF_FUSE_ASSIGN(text, format_next_turn(template_, history_, message));
    }
    GGUF_FUSE_ASSIGN(const auto tokens, tokenizer_.tokenize(text, {.add_special = first, .parse_special = true}));
    std::vector<std::int32_t> prompt = pending_;
    prompt.insert(prompt.end(), tokens.begin(), tokens.end());
    return prompt;
  }

  /// The session lacks the answer's last token, and the end of an answer that was cut off.
  Result<void> keep_for_next(const Generation& generation) {
    pending_.clear();
    if (!generation.tokens.empty()) pending_.push_back(generation.tokens.back());
    if (generation.reason == FinishReason::EndOfGeneration) return {};
    GGUF_FUSE_ASSIGN(const auto end, tokenizer_.tokenize(template_.end, {.add_special = false, .parse_special = true}));
    pending_.insert(pending_.end(), end.begin(), end.end());
    return {};
  }

  const RunOptions& options_;
  const ChatTemplate& template_;
  Session& session_;
  const Tokenizer& tokenizer_;
  Control& control_;
  Sampler sampler_;
  std::vector<ChatMessage> history_;
  std::vector<std::int32_t> pending_;  // to be evaluated before what comes next
};

}  // namespace

void list_prompt(const Tokenizer& tokenizer, const std::vector<std::int32_t>& tokens) {
  put(stderr, fmt::format("prompt of {}:\n", plural(tokens.size(), "token")));
  for (const std::int32_t token : tokens) {
    put(stderr, fmt::format("{:>8}  \"{}\"\n", token, escape_text(tokenizer.piece(token, true))));
  }
}

void speak(std::string_view text, Control& control) {
  put(stdout, text);
  if (!finish_output()) control.cancelled.store(true);
}

std::string finish_text(const Generation& generation, const Session& session) {
  if (generation.reason != FinishReason::ContextFull) return {};
  return fmt::format("the context is full ({} tokens): the text ends here; a larger -c takes more", session.capacity());
}

Result<const ChatTemplate*> conversation_template(const RunOptions& options, RunnableModel& model) {
  if (options.chat_template.empty()) {
    if (!model.chat_template().empty()) return recognise_chat_template(model.chat_template(), options.engine.model);
    return fail(Error{.code = ErrorCode::UnsupportedTemplate,
                      .path = options.engine.model,
                      .subject = "tokenizer.chat_template",
                      .expected = "a template",
                      .actual = "none"});
  }
  if (const ChatTemplate* found = find_chat_template(options.chat_template)) return found;
  std::vector<std::string_view> names;
  for (const ChatTemplate& one : chat_templates()) names.push_back(one.name);
  return fail(Error{.code = ErrorCode::InvalidArgument,
                    .subject = "--chat-template",
                    .expected = fmt::format("one of {}", fmt::join(names, ", ")),
                    .actual = options.chat_template});
}

Result<int> converse(const RunOptions& options, const ChatTemplate& chat_template, Engine& engine, Control& control,
                     RunTotals& totals) {
  GGUF_FUSE_ASSIGN(const Tokenizer* tokenizer, engine.model->tokenizer());
  Conversation conversation(options, chat_template, engine, *tokenizer, control);
  const bool interactive = isatty(STDIN_FILENO) != 0;
  const auto prompt_user = [interactive] {
    if (interactive) put(stderr, "> ");
  };
  LineReader reader;
  std::optional<std::string> message = options.prompt;
  if (message && interactive) put(stderr, fmt::format("> {}\n", *message));
  while (finish_output()) {
    if (!message) {
      prompt_user();
      message = reader.next();
    }
    if (!message || *message == "/exit") break;
    if (*message == "/clear") {
      conversation.clear();
    } else if (!message->empty()) {
      GGUF_FUSE_ASSIGN(const Generation generation, conversation.answer(*message));
      totals.add(generation);
      speak("\n", control);
      if (const std::string text = finish_text(generation, *engine.session); !text.empty()) print_warning(text);
      // Ctrl-C ends the answer, another signal the program
      if (caught_signal() == SIGINT) forget_signal(control);
    }
    if (caught_signal() != 0) break;
    message.reset();
  }
  if (interactive) put(stderr, "\n");
  return caught_signal();
}

}  // namespace gguf_fuse::cli
