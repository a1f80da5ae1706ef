// SPDX-License-Identifier: MIT
#include "gguf_fuse/runtime/generate.hpp"

#include <algorithm>
#include <array>

#include "clock.hpp"
#include "gguf_fuse/runtime/utf8_stream.hpp"
#include "text/stop_text.hpp"

namespace gguf_fuse::runtime {
namespace {

/// Makes text of tokens, and shows what is sure to belong to it.
class Speaker {
 public:
  Speaker(const GenerateOptions& options, const std::function<void(std::string_view)>& show, std::string& text)
      : stop_(options.stop), show_(show), text_(text) {}

  /// False when a stop text came.
  bool say(std::string_view piece) {
    show(characters_.push(stop_.push(piece)));
    return !stop_.found();
  }
  void finish() {
    show(characters_.push(stop_.flush()));
    show(characters_.flush());
  }

 private:
  void show(const std::string& characters) {
    if (characters.empty()) return;
    text_ += characters;
    if (show_) show_(characters);
  }

  StopText stop_;
  Utf8Stream characters_;
  const std::function<void(std::string_view)>& show_;
  std::string& text_;
};

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

class Generator {
 public:
  Generator(Session& session, const Tokenizer& tokenizer, Sampler& sampler, const GenerateOptions& options)
      : session_(session), tokenizer_(tokenizer), sampler_(sampler), options_(options) {}

  /// Samples until something ends it.
  Result<FinishReason> run(Speaker& speaker, std::vector<std::int32_t>& tokens) {
    if (options_.tokens == 0) return FinishReason::TokenLimit;
    for (;;) {
      if (session_.stopped()) return FinishReason::Cancelled;
      const auto sampled = sampler_.sample(session_);
      GGUF_FUSE_ASSIGN(const bool is_sampled, finished(sampled));
      if (!is_sampled) return FinishReason::Cancelled;
      const std::int32_t token = *sampled;
      tokens.push_back(token);
      const bool end = !options_.ignore_end && tokenizer_.is_end_of_generation(token);
      const bool stopped = !speaker.say(tokenizer_.piece(token, options_.special));
      if (end) return FinishReason::EndOfGeneration;
      if (stopped) return FinishReason::StopText;
      if (options_.tokens > 0 && tokens.size() >= static_cast<std::size_t>(options_.tokens)) {
        return FinishReason::TokenLimit;
      }
      if (session_.stopped()) return FinishReason::Cancelled;
      if (session_.size() >= session_.capacity()) {
        const auto room = options_.make_room ? options_.make_room(tokens) : false;
        if (!room && room.error().kind() == ErrorKind::Interrupted) return FinishReason::Cancelled;
        GGUF_FUSE_ASSIGN(const bool made, room);
        if (!made) return FinishReason::ContextFull;
      }
      GGUF_FUSE_ASSIGN(const bool whole, finished(session_.evaluate(std::array{token})));
      if (!whole) return FinishReason::Cancelled;
    }
  }

 private:
  Session& session_;
  const Tokenizer& tokenizer_;
  Sampler& sampler_;
  const GenerateOptions& options_;
};

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
  Speaker speaker(options, show, generation.text);
  const auto reason = Generator(session, tokenizer, sampler, options).run(speaker, generation.tokens);
  speaker.finish();
  GGUF_FUSE_ASSIGN(generation.reason, reason);
  generation.seconds = seconds_since(begin);
  return generation;
}

}  // namespace gguf_fuse::runtime
