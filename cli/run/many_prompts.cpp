// SPDX-License-Identifier: MIT
#include "many_prompts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "chat.hpp"
#include "conversation_tokens.hpp"
#include "failure.hpp"
#include "print.hpp"

namespace gguf_fuse::cli {
namespace {

std::uint32_t at_a_time(const RunOptions& options) {
  return static_cast<std::uint32_t>(std::min<std::size_t>(options.parallel, options.prompts->size()));
}

/// The most tokens of one prompt and its answer: what it would have alone.
std::uint32_t limit_of_one(const RunOptions& options, const Engine& engine) {
  const std::uint32_t all = engine.session->capacity(), texts = at_a_time(options);
  if (options.start.context.value_or(0) == 0) return all / texts;
  const std::uint32_t trained = engine.model->description().train_context;
  return texts == 1 || trained == 0 ? all : std::min(all, trained);
}

using Tokens = std::vector<std::int32_t>;

/// Prints answers in the order of their prompts.
class InOrder {
 public:
  InOrder(const RunOptions& options, std::uint32_t limit, Control& control)
      : options_(options), limit_(limit), control_(control), tokens_(options.prompts->size()) {}

  /// The tokens of a prompt, once they are known.
  Tokens& tokens(std::size_t index) { return tokens_[index]; }

  void add(std::size_t index, Result<Generation> answer) {
    complete_.emplace(index, std::move(answer));
    for (auto found = complete_.find(next_); found != complete_.end(); found = complete_.find(++next_)) {
      print(next_, found->second);
      complete_.erase(found);
    }
  }
  /// Behind a stop: objects say which prompt they belong to, so that gaps lose nothing. Texts do not.
  void print_behind_gaps() {
    if (!options_.json) return;
    for (const auto& [index, answer] : complete_) print(index, answer);
    complete_.clear();
  }
  [[nodiscard]] int exit_code() const { return exit_code_; }

 private:
  void print(std::size_t index, const Result<Generation>& answer) {
    if (!answer) return print_error(index, answer.error());
    if (options_.json) {
      print_object(index, *answer);
    } else {
      speak(answer->text + "\n", control_);
    }
    if (answer->reason == FinishReason::ContextFull) {
      print_warning(fmt::format(
          "prompt {}: the context is full ({} tokens): the text ends here; a larger -c takes more", index + 1, limit_));
    }
  }

  void print_object(std::size_t index, const Generation& answer) {
    put_json(stdout, {{"index", index},
                      {"prompt", (*options_.prompts)[index]},
                      {"prompt_tokens", tokens_[index]},
                      {"text", answer.text},
                      {"tokens", answer.tokens},
                      {"finish_reason", finish_reason_name(answer.reason)},
                      {"seed", options_.sampler.seed},
                      {"context", limit_},
                      {"timings",
                       {{"prompt_tokens", answer.prompt_tokens},
                        {"prompt_seconds", answer.prompt_seconds},
                        {"generated_tokens", answer.tokens.size()},
                        {"generation_seconds", answer.seconds}}}});
    speak({}, control_);
  }

  void print_error(std::size_t index, const Error& error) {
    Failure failure = command_failure(error, 0);
    if (exit_code_ == 0) exit_code_ = failure.exit_code;
    if (options_.json) {
      Json object{{"index", index}};
      object.update(failure_json(failure));
      put_json(stdout, object);
      return speak({}, control_);
    }
    failure.message = fmt::format("prompt {}: {}", index + 1, failure.message);
    print_failure(failure, false, stderr);
  }

  const RunOptions& options_;
  std::uint32_t limit_;
  Control& control_;
  std::vector<Tokens> tokens_;
  std::map<std::size_t, Result<Generation>> complete_;
  std::size_t next_ = 0;
  int exit_code_ = 0;
};

Result<Tokens> tokens_of(const RunOptions& options, const std::optional<ChatTemplate>& chat_template,
                         const Tokenizer& tokenizer, const std::string& prompt) {
  if (!chat_template) return prompt_tokens(tokenizer, prompt);
  std::vector<ChatMessage> messages;
  if (!options.system.empty()) messages.push_back({"system", options.system});
  messages.push_back({"user", prompt});
  return conversation_tokens(*chat_template, tokenizer, messages, options.chat);
}

}  // namespace

void share_among_prompts(const RunOptions& options, StartOptions& start) {
  start.texts = at_a_time(options);
  // beside a session for each, the one that every engine starts with, and one for what prompts have in common
  start.session.sessions = start.texts + 2;
}

Result<int> answer_prompts(const RunOptions& options, const std::optional<ChatTemplate>& chat_template, Engine& engine,
                           Control& control, RunTotals& totals) {
  GGUF_FUSE_ASSIGN(const Tokenizer* const tokenizer, engine.model->tokenizer());
  const std::uint32_t limit = limit_of_one(options, engine);
  InOrder output(options, limit, control);
  std::vector<Tokens> prompts;
  std::vector<std::size_t> which;  // of all prompts these are
  for (std::size_t i = 0; i < options.prompts->size(); ++i) {
    auto tokens = tokens_of(options, chat_template, *tokenizer, (*options.prompts)[i]);
    if (!tokens) {
      output.add(i, fail(tokens.error()));
      continue;
    }
    if (options.verbose_prompt) list_prompt(*tokenizer, *tokens);
    output.tokens(i) = *tokens;
    prompts.push_back(std::move(*tokens));
    which.push_back(i);
  }
  const GenerateManyOptions many{
      .generate = options.generate, .sampler = options.sampler, .parallel = at_a_time(options), .context = limit};
  GGUF_FUSE_ASSIGN(totals.many, generate_many(engine.session->engine(), *tokenizer, prompts, many,
                                              [&](std::size_t index, Result<Generation> answer) {
                                                output.add(which[index], std::move(answer));
                                              }));
  output.print_behind_gaps();
  totals.prompt_tokens = totals.many->prompt_tokens;
  totals.tokens = totals.many->tokens;
  return output.exit_code();
}

}  // namespace gguf_fuse::cli
