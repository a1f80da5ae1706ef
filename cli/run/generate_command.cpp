// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "chat.hpp"
#include "context_shift.hpp"
#include "conversation_tokens.hpp"
#include "many_prompts.hpp"
#include "print.hpp"
#include "run_commands.hpp"
#include "run_report.hpp"
#include "signals.hpp"
#include "values.hpp"

namespace gguf_fuse::cli {
namespace {

Result<Engine> start(const RunOptions& options, Control& control, std::function<Result<void>(RunnableModel&)> opened) {
  StartOptions start = options.start;
  start.session.micro_batch = std::min(start.session.micro_batch, options.batch);
  start.session.candidates = std::max(Sampler(options.sampler).candidates(), 1U);
  if (options.prompts) share_among_prompts(options, start);
  start.progress = terminal_width(stderr) > 0;
  start.opened = std::move(opened);
  return start_engine(options.engine, start, control);
}

UsageError no_prompt() {
  return UsageError(
      "what should the model continue? give -p TEXT or -f FILE, --prompts FILE for many, or -cnv to talk");
}

bool may_talk(const RunOptions& options) {
  return !options.conversation && !options.prompt && !options.prompts && !options.json && isatty(STDIN_FILENO) != 0;
}

/// The template to talk with; none: continue the prompt.
Result<std::optional<ChatTemplate>> choose_template(const RunOptions& options, RunnableModel& model) {
  if (options.conversation == true) return conversation_template(options, model);
  if (may_talk(options)) {
    if (auto found = conversation_template(options, model)) return std::move(*found);
  }
  if (!options.prompt && !options.prompts) throw no_prompt();
  return std::nullopt;
}

Result<void> print_json(const RunOptions& options, const std::vector<std::int32_t>& prompt,
                        const Generation& generation, const Engine& engine, const RunTotals& totals) {
  Json timings = timings_json(engine, totals);
  Json json{{"model", options.engine.model}, {"prompt", *options.prompt},
            {"prompt_tokens", prompt},       {"text", generation.text},
            {"tokens", generation.tokens},   {"finish_reason", finish_reason_name(generation.reason)},
            {"seed", options.sampler.seed},  {"context", engine.session->capacity()},
            {"timings", std::move(timings)}};
  if (options.engine.device.profiling) {
    GGUF_FUSE_ASSIGN(json["profile"], profile_json(*engine.model));
  }
  put_json(stdout, json);
  return {};
}

/// A prompt that does not fit is refused before anything is shown.
Result<void> check_length(const std::vector<std::int32_t>& prompt, const RunOptions& options, const Session& session) {
  if (prompt.size() <= session.capacity()) return {};
  return fail(Error{.code = ErrorCode::ContextFull,
                    .path = options.engine.model,
                    .subject = "prompt",
                    .expected = fmt::format("at most {} tokens", session.capacity()),
                    .actual = std::to_string(prompt.size())});
}

/// --context-shift, and what it dropped.
class ContextShift {
 public:
  ContextShift(const RunOptions& options, std::size_t prompt_tokens, const Tokenizer& tokenizer) {
    if (!options.context_shift) return;
    keep_ = prompt_tokens;
    // the BOS token is kept besides, as in llama.cpp
    if (options.keep >= 0) {
      keep_ = std::min(keep_, static_cast<std::size_t>(options.keep) + (tokenizer.adds_bos() ? 1U : 0U));
    }
    on_ = true;
  }
  Result<bool> make_room(Session& session) {
    if (!on_) return false;
    GGUF_FUSE_ASSIGN(const std::size_t dropped, shift_context(session, keep_));
    dropped_ += dropped;
    times_ += dropped > 0 ? 1U : 0U;
    return dropped > 0;
  }
  /// Behind the text, in the middle of which there is no place for it.
  void tell() const {
    if (times_ == 0) return;
    print_warning(fmt::format("the context was full: {} behind the first {} dropped, in {}", plural(dropped_, "token"),
                              keep_, plural(times_, "shift")));
  }

 private:
  bool on_ = false;
  std::size_t keep_ = 0, dropped_ = 0, times_ = 0;
};

Result<void> continue_prompt(const RunOptions& options, Engine& engine, Control& control, RunTotals& totals) {
  GGUF_FUSE_ASSIGN(const Tokenizer* tokenizer, engine.model->tokenizer());
  GGUF_FUSE_ASSIGN(const auto prompt, prompt_tokens(*tokenizer, *options.prompt));
  GGUF_FUSE_CHECK(check_length(prompt, options, *engine.session));
  if (options.verbose_prompt) list_prompt(*tokenizer, prompt);
  const auto show = [&](std::string_view text) {
    if (!options.json) speak(text, control);
  };
  const bool display = options.display_prompt && !options.json;
  if (display) show(*options.prompt);
  // behind the prompt's own text there is no place for a line that is redrawn
  std::optional<PromptProgress> progress;
  if (!display) progress.emplace(prompt.size());
  ContextShift shift(options, prompt.size(), *tokenizer);
  GenerateOptions generate_options = options.generate;
  if (progress) generate_options.prompt_progress = [&progress](std::uint32_t done) { progress->show(done); };
  generate_options.make_room = [&](std::span<const std::int32_t>) { return shift.make_room(*engine.session); };
  Sampler sampler(options.sampler);
  const auto generation = generate(*engine.session, *tokenizer, sampler, prompt, generate_options, show);
  show("\n");
  if (!generation) return fail(generation.error());
  shift.tell();
  if (const std::string text = finish_text(*generation, *engine.session); !text.empty()) print_warning(text);
  totals.add(*generation);
  if (!options.json) return {};
  return print_json(options, prompt, *generation, engine, totals);
}

Result<void> print_report(const RunOptions& options, const Engine& engine, const RunTotals& totals) {
  std::string profile;  // before the report, which may run a kernel of its own
  if (options.engine.device.profiling && (!options.json || options.prompts)) {
    GGUF_FUSE_ASSIGN(profile, profile_text(*engine.model));
  }
  if (options.report && !options.json) {
    put(stderr, "\n" + report_text(options, engine, totals, terminal_width(stderr)));
  }
  put(stderr, profile);
  return {};
}

}  // namespace

Result<int> generate_command(const RunOptions& options) {
  if (!options.prompt && !options.prompts && options.conversation != true && !may_talk(options)) throw no_prompt();
  static Control control;  // signal handlers keep a pointer to it
  wait_for_input(options.engine.model);
  cancel_on_signals(control, SecondSignal::Ends);
  std::optional<ChatTemplate> chat_template;
  const auto opened = [&](RunnableModel& model) -> Result<void> {
    GGUF_FUSE_ASSIGN(chat_template, choose_template(options, model));
    GGUF_FUSE_CHECK(model.tokenizer());
    return {};
  };
  GGUF_FUSE_ASSIGN(Engine engine, start(options, control, opened));
  RunTotals totals;
  int exit_code = 0;
  if (options.prompts) {
    GGUF_FUSE_ASSIGN(exit_code, answer_prompts(options, chat_template, engine, control, totals));
  } else if (chat_template) {
    if (!options.conversation) {
      put(stderr, fmt::format("a conversation, as no -p is given (template: {}); /help says more, Ctrl-D ends it\n",
                              chat_template->name()));
    }
    GGUF_FUSE_CHECK(converse(options, *chat_template, engine, control, totals));
  } else {
    GGUF_FUSE_CHECK(continue_prompt(options, engine, control, totals));
  }
  // a reader that is gone wants no report either
  if (finish_output()) GGUF_FUSE_CHECK(print_report(options, engine, totals));
  return caught_signal() == 0 ? exit_code : 128 + caught_signal();
}

}  // namespace gguf_fuse::cli
