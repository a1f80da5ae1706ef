// SPDX-License-Identifier: MIT
#include "chat.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <memory>

#include "conversation.hpp"
#include "message_source.hpp"
#include "print.hpp"
#include "signals.hpp"
#include "suggest.hpp"
#include "values.hpp"

namespace gguf_fuse::cli {
namespace {

struct CommandRow {
  std::string_view name;
  std::string_view help;
};
constexpr CommandRow kCommands[] = {
    {"/help", "this list"},
    {"/regen", "another answer to the last message"},
    {"/clear", "begins again; the system message stays"},
    {"/exit", "ends the conversation, as does Ctrl-D"},
};

void print_help(bool interactive, bool edits) {
  Table table({{""}, {""}});
  for (const CommandRow& row : kCommands) table.add({std::string(row.name), std::string(row.help)});
  if (interactive) {
    table.add({"\\", "at the end of a line: the message goes on in the next one"});
    table.add({"Ctrl-C", "stops an answer, or gives up the line"});
  }
  if (edits) {
    table.add({"arrow up, Ctrl-R", "messages of before, and a search among them"});
    table.add({"[#1 \"...\", 9 lines]", "stands for a pasted text"});
  }
  put(stderr, table.render(terminal_width(stderr), "  "));
}

std::string_view command_of(std::string_view message) {
  const std::size_t end = message.find_last_not_of(" \t\r");
  return message.starts_with('/') ? message.substr(0, end + 1) : std::string_view();
}

/// What is wrong with a message that looks like a command and is none: a word with a slash before it, or a command with
/// more behind it. Other texts that begin with a slash are messages.
std::string wrong_command(std::string_view command) {
  const std::string_view word = command.substr(0, command.find(' '));
  const std::vector<std::string> names = names_of(kCommands);
  const bool known = std::find(names.begin(), names.end(), word) != names.end();
  if (known && word.size() < command.size()) {
    return fmt::format("{} has nothing behind it, so nothing was done; a space before it makes it a message", word);
  }
  if (word.size() < 2 || word.size() < command.size() || word.find('/', 1) != std::string_view::npos) return {};
  const std::string best = nearest(command, names);
  const std::string guess = best.empty() ? std::string() : fmt::format("did you mean {}? ", best);
  return fmt::format("there is no {}; {}/help lists all, and a space before it makes it a message", command, guess);
}

/// The loop around a conversation.
class Chat {
 public:
  Chat(const RunOptions& options, Conversation& conversation, Control& control, Engine& engine, RunTotals& totals)
      : conversation_(conversation),
        control_(control),
        engine_(engine),
        totals_(totals),
        single_turn_(options.single_turn),
        messages_(open_messages(control, options.simple_io)) {}

  Result<int> run(std::optional<std::string> message) {
    const bool interactive = messages_->is_interactive();
    if (interactive) put(stderr, "/help lists commands; Ctrl-D ends the conversation\n");
    if (message && interactive) put(stderr, fmt::format("> {}\n", *message));
    while (finish_output()) {
      if (!message) message = messages_->next();
      if (!message || command_of(*message) == "/exit") break;
      GGUF_FUSE_CHECK(take(*message));
      message.reset();
      // Ctrl-C ends the answer, another signal the program
      if (caught_signal() == SIGINT) forget_signal(control_);
      if (caught_signal() != 0 || (single_turn_ && conversation_.has_answer())) break;
    }
    return caught_signal();
  }

 private:
  Result<void> take(const std::string& message) {
    const std::string_view command = command_of(message);
    if (message.empty()) return {};
    if (command == "/help") {
      print_help(messages_->is_interactive(), messages_->edits());
    } else if (command == "/clear") {
      GGUF_FUSE_CHECK(conversation_.clear());
      put(stderr, "the conversation begins again\n");
    } else if (command == "/regen" && !conversation_.has_answer()) {
      put(stderr, "there is no answer yet\n");
    } else if (command == "/regen") {
      return finish(conversation_.regenerate());
    } else if (const std::string wrong = wrong_command(command); !wrong.empty()) {
      put(stderr, wrong + "\n");
    } else {
      return finish(conversation_.answer(message));
    }
    return {};
  }

  Result<void> finish(const Result<std::optional<Generation>>& answered) {
    // a message that cannot be sent is no reason to lose the others
    if (!answered && answered.error().kind() == ErrorKind::Usage) {
      print_warning("the message was not sent: " + answered.error().message());
      return {};
    }
    GGUF_FUSE_ASSIGN(const auto generation, answered);
    if (!generation) return {};
    totals_.add(*generation);
    if (messages_->is_interactive() && generation->reason == FinishReason::Cancelled && generation->tokens.empty()) {
      put(stderr, "^C: there is no answer, and the message is not part of the conversation\n");
    }
    if (const std::string text = finish_text(*generation, *engine_.session); !text.empty()) print_warning(text);
    if (messages_->is_interactive() && finish_output()) put(stderr, "\n");
    return {};
  }

  Conversation& conversation_;
  Control& control_;
  Engine& engine_;
  RunTotals& totals_;
  bool single_turn_;
  std::unique_ptr<MessageSource> messages_;
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

Result<ChatTemplate> conversation_template(const RunOptions& options, RunnableModel& model) {
  if (!options.chat_template.empty()) return ChatTemplate::builtin(options.chat_template);
  GGUF_FUSE_ASSIGN(const Tokenizer* const tokenizer, model.tokenizer());
  const auto& file = options.chat_template_source;
  return ChatTemplate::parse(file ? *file : model.chat_template(), *tokenizer,
                             file ? "--chat-template-file" : options.engine.model);
}

Result<int> converse(const RunOptions& options, const ChatTemplate& chat_template, Engine& engine, Control& control,
                     RunTotals& totals) {
  GGUF_FUSE_ASSIGN(const Tokenizer* tokenizer, engine.model->tokenizer());
  Conversation conversation(options, chat_template, *engine.session, *tokenizer, control);
  return Chat(options, conversation, control, engine, totals).run(options.prompt);
}

}  // namespace gguf_fuse::cli
