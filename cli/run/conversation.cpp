// SPDX-License-Identifier: MIT
#include "conversation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "chat.hpp"
#include "context_shift.hpp"
#include "conversation_tokens.hpp"
#include "print.hpp"

namespace gguf_fuse::cli {
namespace {

bool is_silent(const Generation& generation) {
  return generation.tokens.empty() && generation.reason == FinishReason::Cancelled;
}

bool is_answer(const Result<std::optional<Generation>>& reply) { return reply && *reply && !is_silent(**reply); }

}  // namespace

Conversation::Conversation(const RunOptions& options, const ChatTemplate& chat_template, Session& session,
                           const Tokenizer& tokenizer, Control& control)
    : options_(options),
      template_(chat_template),
      session_(session),
      tokenizer_(tokenizer),
      control_(control),
      sampler_(options.sampler) {
  begin();
}

void Conversation::begin() {
  messages_.clear();
  if (!options_.system.empty()) messages_.push_back({"system", options_.system});
}

Result<void> Conversation::clear() {
  begin();
  return session_.truncate(0);
}

bool Conversation::has_answer() const { return !messages_.empty() && messages_.back().role == "assistant"; }

Result<std::optional<Generation>> Conversation::answer(const std::string& message) {
  messages_.push_back({"user", message});
  auto generation = reply();
  if (!is_answer(generation)) messages_.pop_back();
  return generation;
}

Result<std::optional<Generation>> Conversation::regenerate() {
  ChatMessage before = std::move(messages_.back());
  messages_.pop_back();
  auto generation = reply();
  if (!is_answer(generation)) messages_.push_back(std::move(before));
  return generation;
}

/// Answers the last message.
Result<std::optional<Generation>> Conversation::reply() {
  GGUF_FUSE_ASSIGN(const auto prompt, fitting_prompt());
  if (!prompt) return std::optional<Generation>();
  if (options_.verbose_prompt) list_prompt(tokenizer_, *prompt);
  GGUF_FUSE_ASSIGN(const auto rest, reuse_tokens(session_, *prompt));
  const PromptProgress progress(rest.size());
  GenerateOptions generate_options = options_.generate;
  generate_options.prompt_progress = [&progress](std::uint32_t done) { progress.show(done); };
  generate_options.make_room = [this](std::span<const std::int32_t> answer) { return make_room(answer); };
  GGUF_FUSE_ASSIGN(Generation generation, generate(session_, tokenizer_, sampler_, rest, generate_options,
                                                   [this](std::string_view text) { speak(text, control_); }));
  if (!is_silent(generation)) {
    speak("\n", control_);
    messages_.push_back({"assistant", generation.text});
  }
  tell_dropped();
  return std::optional(std::move(generation));
}

Result<std::vector<std::int32_t>> Conversation::tokens_of(std::span<const ChatMessage> messages) const {
  return conversation_tokens(template_, tokenizer_, messages, options_.chat);
}

/// The tokens of all messages, of which the oldest are dropped with --context-shift until an answer fits behind them;
/// nothing when that cannot be.
Result<std::optional<std::vector<std::int32_t>>> Conversation::fitting_prompt() {
  const std::vector<ChatMessage> before = messages_;
  for (;;) {
    GGUF_FUSE_ASSIGN(auto tokens, tokens_of(messages_));
    if (tokens.size() < session_.capacity()) {
      tell_dropped();
      return std::optional(std::move(tokens));
    }
    GGUF_FUSE_ASSIGN(const bool dropped, drop_older_half());
    if (dropped) continue;
    messages_ = before;  // dropping helped nothing
    dropped_ = 0;
    GGUF_FUSE_ASSIGN(const std::string text, refusal());
    print_warning(text);
    return std::optional<std::vector<std::int32_t>>();
  }
}

/// Why the last message is not answered.
Result<std::string> Conversation::refusal() const {
  std::vector<ChatMessage> alone;
  if (messages_.front().role == "system") alone.push_back(messages_.front());
  alone.push_back(messages_.back());
  GGUF_FUSE_ASSIGN(const auto least, tokens_of(alone));
  GGUF_FUSE_ASSIGN(const auto all, tokens_of(messages_));
  const auto capacity = session_.capacity();
  if (least.size() >= capacity) {
    return fmt::format("the message was not sent: it takes {} tokens, and the context has {}; a larger -c takes more",
                       least.size(), capacity);
  }
  return fmt::format(
      "the message was not sent: the conversation would take {} tokens of a context of {}; /clear begins again, "
      "--context-shift drops the oldest exchanges, a larger -c takes more",
      all.size(), capacity);
}

/// Within an answer, of which these tokens are there already.
Result<bool> Conversation::make_room(std::span<const std::int32_t> answer) {
  for (;;) {
    GGUF_FUSE_ASSIGN(const bool dropped, drop_older_half());
    if (!dropped) return false;
    GGUF_FUSE_ASSIGN(auto tokens, tokens_of(messages_));
    tokens.insert(tokens.end(), answer.begin(), answer.end());
    if (tokens.size() >= session_.capacity()) continue;
    // the answer's last token is evaluated by whoever asked for room
    tokens.pop_back();
    GGUF_FUSE_ASSIGN(const auto rest, reuse_tokens(session_, tokens));
    GGUF_FUSE_CHECK(session_.evaluate(rest));
    return true;
  }
}

/// Messages before this one stay: the system message, and whole exchanges within the first --keep tokens.
Result<std::size_t> Conversation::first_droppable() const {
  std::size_t first = messages_.front().role == "system" ? 1 : 0;
  while (options_.keep > 0 && first + 2 < messages_.size()) {
    GGUF_FUSE_ASSIGN(const auto tokens, tokens_of(std::span(messages_).first(first + 2)));
    if (tokens.size() > static_cast<std::size_t>(options_.keep)) break;
    first += 2;
  }
  return first;
}

/// The last message is not answered yet and stays. False when there is nothing to drop.
Result<bool> Conversation::drop_older_half() {
  if (!options_.context_shift) return false;
  GGUF_FUSE_ASSIGN(const std::size_t first, first_droppable());
  const std::size_t exchanges = (messages_.size() - 1 - first) / 2;
  if (exchanges == 0) return false;
  const std::size_t count = (exchanges + 1) / 2;
  const auto begin = messages_.begin() + static_cast<std::ptrdiff_t>(first);
  messages_.erase(begin, begin + static_cast<std::ptrdiff_t>(2 * count));
  dropped_ += count;
  return true;
}

/// Not in the middle of an answer.
void Conversation::tell_dropped() {
  const std::size_t count = std::exchange(dropped_, 0);
  if (count == 0) return;
  const std::size_t system = messages_.front().role == "system" ? 1 : 0;
  print_warning(fmt::format("the context was full: the oldest {} dropped, {} of {} kept",
                            count == 1 ? "exchange was" : fmt::format("{} exchanges were", count),
                            (messages_.size() - system) / 2, (messages_.size() - system) / 2 + count));
}

}  // namespace gguf_fuse::cli
