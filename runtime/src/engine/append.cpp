// SPDX-License-Identifier: MIT
#include <algorithm>

#include "engine/engine_state.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

/// What is left to compute of a sequence: tokens whose keys and values were lost, then new ones.
struct Job {
  Sequence* sequence;
  std::span<const std::int32_t> added;
  std::uint32_t size;  ///< of the sequence before

  [[nodiscard]] std::uint32_t end() const { return size + static_cast<std::uint32_t>(added.size()); }
  [[nodiscard]] std::uint32_t left() const { return end() - sequence->cached; }
  /// Which factors it turns by.
  [[nodiscard]] bool is_long() const { return sequence->long_factors.value_or(false); }
  /// Neighbours from where the cache ends: lost ones or new ones.
  [[nodiscard]] std::span<const std::int32_t> next(std::uint32_t most) const {
    const std::uint32_t at = sequence->cached;
    const auto rest =
        at < size ? std::span(std::as_const(sequence->tokens)).subspan(at, size - at) : added.subspan(at - size);
    return rest.first(std::min<std::size_t>(most, rest.size()));
  }
};

/// What a step takes of a job.
struct Share {
  Job* job;
  std::span<const std::int32_t> tokens;
};

/// Computes jobs in steps until none is left.
class Appender {
 public:
  Appender(Engine::State& state, std::span<const Append> all) : state_(state) {
    for (const Append& one : all) {
      jobs_.push_back({.sequence = one.sequence, .added = one.tokens, .size = one.sequence->size()});
    }
  }

  Result<void> run() {
    for (Job& job : jobs_) {
      turn_for(state_, *job.sequence, job.end());
      job.sequence->results = {};
    }
    while (drop_finished(), !jobs_.empty()) {
      Result<void> done = step();
      if (done) continue;
      for (const Job& job : jobs_) {
        Sequence& sequence = *job.sequence;
        sequence.results = {};  // those of a part are nobody's answer
        sequence.live = 0;      // behind some of the step's operations and not behind others
        forget_behind(state_, sequence, sequence.cached);
      }
      return done;
    }
    return {};
  }

 private:
  void drop_finished() {
    std::erase_if(jobs_, [](const Job& job) { return job.left() == 0 || job.sequence->stopped(); });
  }

  /// Single tokens first, which others wait for; then as much of the others as there is room for.
  Result<void> step() {
    const bool is_long = jobs_.front().is_long();
    GGUF_FUSE_CHECK(choose_frequencies(state_, is_long));
    std::stable_sort(jobs_.begin(), jobs_.end(), [](const Job& a, const Job& b) { return a.left() < b.left(); });
    std::vector<Share> shares;
    std::uint32_t rows = 0;
    for (Job& job : jobs_) {
      if (job.is_long() != is_long || rows == state_.max_tokens) continue;
      shares.push_back({.job = &job, .tokens = job.next(state_.max_tokens - rows)});
      rows += static_cast<std::uint32_t>(shares.back().tokens.size());
    }
    std::stable_sort(shares.begin(), shares.end(),
                     [](const Share& a, const Share& b) { return a.tokens.size() > b.tokens.size(); });
    std::vector<Piece> pieces;
    for (const Share& share : shares) {
      Sequence& sequence = *share.job->sequence;
      const std::uint32_t at = sequence.cached;
      GGUF_FUSE_CHECK(hold_pages(state_, sequence, at, at + static_cast<std::uint32_t>(share.tokens.size())));
      pieces.push_back({.sequence = &sequence, .position = at, .tokens = share.tokens});
    }
    std::vector<Results> results;
    GGUF_FUSE_CHECK(run_step(state_, pieces, results));
    for (std::size_t i = 0; i < shares.size(); ++i) finish(*shares[i].job, shares[i].tokens, results[i]);
    return {};
  }

  void finish(const Job& job, std::span<const std::int32_t> tokens, Results& results) {
    Sequence& sequence = *job.sequence;
    const bool is_new = sequence.cached >= job.size;
    sequence.cached += static_cast<std::uint32_t>(tokens.size());
    sequence.live = sequence.cached;
    if (is_new) {
      sequence.tokens.insert(sequence.tokens.end(), tokens.begin(), tokens.end());
      if (state_.options.all_logits) {
        keep_rows(sequence.results, results);
      } else {
        sequence.results = std::move(results);
      }
    }
    for (std::size_t i = 0; i < sequence.held.size(); ++i) {
      state_.groups[i].release_before_window(sequence.held[i], sequence.cached);
    }
  }

  static void keep_rows(Results& all, Results& more) {
    all.statistics.insert(all.statistics.end(), more.statistics.begin(), more.statistics.end());
    all.logits.insert(all.logits.end(), more.logits.begin(), more.logits.end());
  }

  Engine::State& state_;
  std::vector<Job> jobs_;
};

}  // namespace

Result<void> append(Engine::State& state, std::span<const Append> all) { return Appender(state, all).run(); }

}  // namespace gguf_fuse::runtime::detail
