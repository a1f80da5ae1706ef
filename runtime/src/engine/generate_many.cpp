// SPDX-License-Identifier: MIT
#include "gguf_fuse/runtime/generate_many.hpp"

#include <algorithm>
#include <deque>
#include <memory>
#include <utility>

#include "clock.hpp"
#include "engine/answer.hpp"

namespace gguf_fuse::runtime {
namespace {

using Prompts = std::span<const std::vector<std::int32_t>>;

/// Fewer shared tokens are not worth a sequence of their own.
constexpr std::size_t kLeastShared = 64;
/// Room that is kept for an answer whose end is not known.
constexpr std::size_t kUsualRoom = 64;

/// A prompt and its answer.
struct Job {
  Job(std::size_t number, std::vector<std::int32_t> prompt, const Tokenizer& tokenizer,
      const GenerateManyOptions& options)
      : index(number),
        tokens(std::move(prompt)),
        sampler(options.sampler),
        answer(tokenizer, options.generate, show_nothing, generation) {}

  /// What is not computed yet.
  [[nodiscard]] std::span<const std::int32_t> pending() const { return std::span(tokens).subspan(session->size()); }

  std::size_t index;
  std::vector<std::int32_t> tokens;  ///< of the prompt, and those that were sampled
  Sampler sampler;
  std::function<void(std::string_view)> show_nothing{};
  Generation generation{};
  Answer answer;
  std::unique_ptr<Session> session{};  ///< none while it waits
  Clock::time_point since{};
  bool speaks = false;  ///< the prompt was evaluated
  bool ended = false;
};

std::size_t shared_beginning(Prompts prompts, const std::vector<std::size_t>& which) {
  if (which.size() < 2) return 0;
  const auto& first = prompts[which.front()];
  std::size_t shared = first.size();
  for (const std::size_t index : which) {
    const auto& other = prompts[index];
    const auto differs = std::mismatch(first.begin(), first.end(), other.begin(), other.end()).first;
    shared = std::min(shared, static_cast<std::size_t>(differs - first.begin()));
  }
  return shared < kLeastShared ? 0 : shared;
}

class ManyAnswers {
 public:
  ManyAnswers(Engine& engine, const Tokenizer& tokenizer, Prompts prompts, const GenerateManyOptions& options,
              const std::function<void(std::size_t, Result<Generation>)>& done)
      : engine_(engine), tokenizer_(tokenizer), prompts_(prompts), options_(options), done_(done) {}

  Result<GenerateManyReport> run() {
    const auto begin = Clock::now();
    GGUF_FUSE_CHECK(open_sessions());
    refuse_wrong_prompts();
    GGUF_FUSE_CHECK(evaluate_beginning());
    while (!stopped() && (!active_.empty() || !waiting_.empty() || !unseen_.empty())) {
      GGUF_FUSE_CHECK(begin_some());
      GGUF_FUSE_CHECK(step());
      if (stopped()) break;
      for (const auto& job : active_) GGUF_FUSE_CHECK(speak(*job));
      drop_ended();
    }
    report_.seconds = seconds_since(begin);
    report_.stopped = stopped();
    return report_;
  }

 private:
  [[nodiscard]] bool stopped() const { return engine_.stopped(); }

  Result<void> open_sessions() {
    if (options_.parallel == 0) {
      return fail({.code = ErrorCode::InvalidArgument,
                   .subject = "parallel",
                   .expected = "at least one prompt at a time",
                   .actual = "0"});
    }
    for (std::uint32_t i = 0; i < options_.parallel; ++i) {
      GGUF_FUSE_ASSIGN(std::unique_ptr<Session> session, engine_.open_session());
      free_.push_back(std::move(session));
    }
    capacity_ = free_.front()->capacity();
    limit_ = options_.context == 0 ? capacity_ : std::min(capacity_, options_.context);
    if (auto session = engine_.open_session()) beginning_ = std::move(*session);
    return {};
  }

  void refuse_wrong_prompts() {
    for (std::size_t i = 0; i < prompts_.size(); ++i) {
      if (prompts_[i].empty()) {
        done_(i, fail(Error{.code = ErrorCode::InvalidArgument,
                            .subject = "prompt",
                            .expected = "at least one token",
                            .actual = "none"}));
      } else if (prompts_[i].size() > limit_) {
        done_(i, fail(Error{.code = ErrorCode::ContextFull,
                            .path = engine_.model()->description().path,
                            .subject = "prompt",
                            .expected = std::string("at most ") + std::to_string(limit_) + " tokens",
                            .actual = std::to_string(prompts_[i].size())}));
      } else {
        unseen_.push_back(i);
      }
    }
  }

  /// What cannot be evaluated here cannot within a prompt either, which is where it is told.
  Result<void> evaluate_beginning() {
    const std::size_t shared = beginning_ ? shared_beginning(prompts_, {unseen_.begin(), unseen_.end()}) : 0;
    if (shared == 0 || stopped()) return {};
    const auto evaluated = beginning_->evaluate(std::span(prompts_[unseen_.front()]).first(shared));
    if (!evaluated) {
      if (is_stop(evaluated.error()) || !is_of_prompt(evaluated.error())) return unless_stop(evaluated.error());
      return beginning_->truncate(0);
    }
    report_.shared_tokens = static_cast<std::uint32_t>(shared);
    report_.prompt_tokens += shared;
    return {};
  }

  /// Tokens of the cache that a job will need beside the shared beginning, as far as that is known.
  [[nodiscard]] std::size_t room_of(const Job& job) const {
    const std::size_t sampled = job.generation.tokens.size();
    const std::size_t most =
        options_.generate.tokens < 0 ? sampled + kUsualRoom : static_cast<std::size_t>(options_.generate.tokens);
    const std::size_t end = std::min<std::size_t>(limit_, job.tokens.size() - sampled + most);
    return end - std::min<std::size_t>(end, beginning_size());
  }
  [[nodiscard]] std::uint32_t beginning_size() const { return beginning_ ? beginning_->size() : 0; }

  /// Those that gave their place back come first. One is computed whatever room it takes.
  Result<void> begin_some() {
    std::size_t room = beginning_size();
    for (const auto& job : active_) room += room_of(*job);
    while (!free_.empty() && (!waiting_.empty() || !unseen_.empty())) {
      if (waiting_.empty()) {
        const std::size_t index = unseen_.front();
        unseen_.pop_front();
        waiting_.push_back(std::make_unique<Job>(index, prompts_[index], tokenizer_, options_));
      }
      room += room_of(*waiting_.front());
      if (!active_.empty() && room > capacity_) return {};
      GGUF_FUSE_CHECK(begin(std::move(waiting_.front())));
      waiting_.pop_front();
    }
    return {};
  }

  Result<void> begin(std::unique_ptr<Job> job) {
    job->session = std::move(free_.back());
    free_.pop_back();
    // the last token is evaluated for what the model says behind it
    const std::uint32_t shared = std::min(beginning_size(), static_cast<std::uint32_t>(job->tokens.size()) - 1);
    if (shared > 0) GGUF_FUSE_CHECK(job->session->begin_as(*beginning_, shared));
    if (!job->speaks) {
      job->generation.prompt_tokens = static_cast<std::uint32_t>(job->tokens.size()) - shared;
      job->since = Clock::now();
    }
    active_.push_back(std::move(job));
    return {};
  }

  /// Computes a micro-batch: the next token of every answer, and as much of prompts as there is room for.
  Result<void> step() {
    std::vector<Job*> jobs;
    for (const auto& job : active_) jobs.push_back(job.get());
    std::stable_partition(jobs.begin(), jobs.end(), [](const Job* job) { return job->pending().size() == 1; });
    std::vector<Engine::Part> parts;
    std::vector<Job*> whose;
    std::size_t room = engine_.micro_batch();
    for (Job* const job : jobs) {
      if (room == 0) break;
      const auto pending = job->pending();
      parts.push_back({.session = job->session.get(), .tokens = pending.first(std::min(room, pending.size()))});
      whose.push_back(job);
      room -= parts.back().tokens.size();
    }
    const auto evaluated = engine_.evaluate(parts);
    if (evaluated) return {};
    if (is_shortage(evaluated.error())) return make_place(evaluated.error());
    if (!is_of_prompt(evaluated.error())) return unless_stop(evaluated.error());
    for (std::size_t i = 0; i < parts.size(); ++i) GGUF_FUSE_CHECK(step_alone(*whose[i], parts[i]));
    drop_ended();
    return {};
  }

  /// Whose error it is shows when each is computed alone.
  Result<void> step_alone(Job& job, const Engine::Part& part) {
    const auto evaluated = engine_.evaluate({&part, 1});
    if (evaluated) return {};
    if (!is_of_prompt(evaluated.error())) return unless_stop(evaluated.error());
    end(job, fail(evaluated.error()));
    return {};
  }

  /// The last one that was begun gives its place back and waits. One alone has nobody to wait for.
  Result<void> make_place(const Error& shortage) {
    if (active_.size() > 1) {
      auto job = std::move(active_.back());
      active_.pop_back();
      GGUF_FUSE_CHECK(job->session->truncate(0));
      free_.push_back(std::move(job->session));
      waiting_.push_front(std::move(job));
      ++report_.restarts;
      return {};
    }
    if (beginning_size() > 0) return beginning_->truncate(0);
    end(*active_.front(), fail(shortage));
    drop_ended();
    return {};
  }

  /// Samples a token behind what was computed of a job.
  Result<void> speak(Job& job) {
    if (!job.pending().empty()) return {};
    if (!job.speaks) {
      job.speaks = true;
      report_.prompt_tokens += job.generation.prompt_tokens;
      job.generation.prompt_seconds = seconds_since(std::exchange(job.since, Clock::now()));
    }
    if (!job.answer.wants_any()) return end(job, FinishReason::TokenLimit);
    if (stopped()) return {};
    const auto sampled = job.sampler.sample(*job.session);
    if (!sampled) {
      if (is_stop(sampled.error()) || !is_of_prompt(sampled.error())) return unless_stop(sampled.error());
      end(job, fail(sampled.error()));
      return {};
    }
    ++report_.tokens;
    job.tokens.push_back(*sampled);
    if (const auto reason = job.answer.add(*sampled)) return end(job, *reason);
    if (job.session->size() >= limit_) return end(job, FinishReason::ContextFull);
    return {};
  }

  Result<void> end(Job& job, FinishReason reason) {
    job.answer.finish();
    job.generation.reason = reason;
    job.generation.seconds = seconds_since(job.since);
    end(job, std::move(job.generation));
    return {};
  }

  void end(Job& job, Result<Generation> answer) {
    job.ended = true;
    done_(job.index, std::move(answer));
  }

  void drop_ended() {
    for (const auto& job : active_) {
      if (!job->ended) continue;
      static_cast<void>(job->session->truncate(0));  // cannot be more than there are
      free_.push_back(std::move(job->session));
    }
    std::erase_if(active_, [](const auto& job) { return job->ended; });
  }

  static bool is_stop(const Error& error) { return error.kind() == ErrorKind::Interrupted; }
  static bool is_shortage(const Error& error) {
    return error.code == ErrorCode::ContextFull || error.code == ErrorCode::OutOfDeviceMemory;
  }
  static bool is_of_prompt(const Error& error) {
    return error.code == ErrorCode::BadToken || error.code == ErrorCode::NotFinite;
  }
  static Result<void> unless_stop(const Error& error) { return is_stop(error) ? Result<void>() : fail(error); }

  Engine& engine_;
  const Tokenizer& tokenizer_;
  Prompts prompts_;
  const GenerateManyOptions& options_;
  const std::function<void(std::size_t, Result<Generation>)>& done_;
  std::uint32_t capacity_ = 0, limit_ = 0;      ///< tokens of all, and of one
  std::unique_ptr<Session> beginning_;          ///< what all prompts begin with; empty where that is nothing
  std::vector<std::unique_ptr<Session>> free_;  ///< empty ones
  std::vector<std::unique_ptr<Job>> active_;    ///< with a session, in the order in which they were begun
  std::deque<std::unique_ptr<Job>> waiting_;    ///< without one
  std::deque<std::size_t> unseen_;              ///< prompts that were not begun
  GenerateManyReport report_;
};

}  // namespace

Result<GenerateManyReport> generate_many(Engine& engine, const Tokenizer& tokenizer, Prompts prompts,
                                         const GenerateManyOptions& options,
                                         const std::function<void(std::size_t, Result<Generation>)>& done) {
  return ManyAnswers(engine, tokenizer, prompts, options, done).run();
}

}  // namespace gguf_fuse::runtime
