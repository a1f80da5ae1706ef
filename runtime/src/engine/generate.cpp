// SPDX-License-Identifier: MIT
#include "gguf_fuse/runtime/generate.hpp"

#include <algorithm>
#include <array>

#include "clock.hpp"
#include "engine/answer.hpp"

namespace gguf_fuse::runtime {
namespace {

/// Whether a computation came to its end; false when it was interrupted.
template <typename T>
Result<bool> finished(const Result<T>& result) {
  if (result) return true;
  if (result.error().kind() == ErrorKind::Interrupted) return false;
  return fail(result.error());
}

/// The same for a prompt, whose progress is told.
Result<bool> prompt_evaluated(Session& session, std::span<const std::int32_t> prompt, const GenerateOptions& options) {
  // a prompt that does not fit is refused whole
  if (!options.prompt_progress || prompt.size() > session.capacity() - session.size()) {
    return finished(session.evaluate(prompt));
  }
  for (std::size_t done = 0; done < prompt.size();) {
    const auto part = prompt.subspan(done, std::min<std::size_t>(session.micro_batch(), prompt.size() - done));
    GGUF_FUSE_ASSIGN(const bool whole, finished(session.evaluate(part)));
    if (!whole) return false;
    done += part.size();
    options.prompt_progress(static_cast<std::uint32_t>(done));
  }
  return true;
}

/// Samples until something ends the answer.
Result<FinishReason> speak(Session& session, Sampler& sampler, const GenerateOptions& options, Answer& answer,
                           const std::vector<std::int32_t>& tokens) {
  if (!answer.wants_any()) return FinishReason::TokenLimit;
  for (;;) {
    if (session.stopped()) return FinishReason::Cancelled;
    const auto sampled = sampler.sample(session);
    GGUF_FUSE_ASSIGN(const bool is_sampled, finished(sampled));
    if (!is_sampled) return FinishReason::Cancelled;
    if (const auto reason = answer.add(*sampled)) return *reason;
    if (session.stopped()) return FinishReason::Cancelled;
    if (session.size() >= session.capacity()) {
      const auto room = options.make_room ? options.make_room(tokens) : false;
      if (!room && room.error().kind() == ErrorKind::Interrupted) return FinishReason::Cancelled;
      GGUF_FUSE_ASSIGN(const bool made, room);
      if (!made) return FinishReason::ContextFull;
    }
    GGUF_FUSE_ASSIGN(const bool whole, finished(session.evaluate(std::array{*sampled})));
    if (!whole) return FinishReason::Cancelled;
  }
}

}  // namespace

std::string_view finish_reason_name(FinishReason reason) {
  constexpr std::array<std::string_view, 5> kNames{"end_of_generation", "stop_text", "token_limit", "context_full",
                                                   "cancelled"};
  const auto index = static_cast<std::size_t>(reason);
  return index < kNames.size() ? kNames[index] : "unknown";
}

Result<Generation> generate(Session& session, const Tokenizer& tokenizer, Sampler& sampler,
                            std::span<const std::int32_t> prompt, const GenerateOptions& options,
                            const std::function<void(std::string_view)>& show) {
  if (prompt.empty() && session.size() == 0) {
    return fail(Error{
        .code = ErrorCode::InvalidArgument, .subject = "prompt", .expected = "at least one token", .actual = "none"});
  }
  Generation generation;
  const std::uint32_t size_before = session.size();
  const auto prompt_begin = Clock::now();
  if (!prompt.empty()) {
    GGUF_FUSE_ASSIGN(const bool whole, prompt_evaluated(session, prompt, options));
    generation.reason = whole ? FinishReason::TokenLimit : FinishReason::Cancelled;
  }
  generation.prompt_seconds = seconds_since(prompt_begin);
  generation.prompt_tokens = session.size() - size_before;
  if (generation.reason == FinishReason::Cancelled) return generation;

  const auto begin = Clock::now();
  Answer answer(tokenizer, options, show, generation);
  const auto reason = speak(session, sampler, options, answer, generation.tokens);
  answer.finish();
  GGUF_FUSE_ASSIGN(generation.reason, reason);
  generation.seconds = seconds_since(begin);
  return generation;
}

}  // namespace gguf_fuse::runtime
