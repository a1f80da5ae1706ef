// SPDX-License-Identifier: MIT
#include "gguf_fuse/runtime/session.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "engine/engine_state.hpp"

namespace gguf_fuse::runtime {
namespace {

Error too_many(const Engine& engine, std::uint32_t size, std::uint32_t tokens) {
  return {.code = ErrorCode::InvalidArgument,
          .path = engine.model()->description().path,
          .expected = fmt::format("at most {} tokens", size),
          .actual = std::to_string(tokens)};
}

/// What truncate(), an error of evaluate() or another's step has lost is computed again from the last token.
Result<void> have_results(Session::State& session, bool logits) {
  Sequence& sequence = session.sequence;
  Engine::State& engine = session.engine->state();
  const Results& results = sequence.results;
  if (!results.statistics.empty() && (!logits || engine.options.all_logits || results.step == engine.step)) return {};
  if (sequence.tokens.empty()) {
    return fail({.code = ErrorCode::InvalidArgument,
                 .path = engine.shared().description.path,
                 .expected = "a sequence with a token at least",
                 .actual = "an empty one, which has no logits",
                 .hint = "evaluate tokens first"});
  }
  GGUF_FUSE_CHECK(wait_until_ready(engine));
  const std::int32_t last = sequence.tokens.back();
  sequence.tokens.pop_back();
  forget_behind(engine, sequence, sequence.size());
  const Append again{.sequence = &sequence, .tokens = {&last, 1}};
  const std::uint32_t before = sequence.size();
  Result<void> done = append(engine, {&again, 1});
  if (sequence.size() > before) return done;
  sequence.tokens.push_back(last);
  if (!done) return done;
  return fail(interrupted(engine));  // by the session's own control
}

}  // namespace

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) {}

Session::~Session() {
  Engine::State& engine = state_->engine->state();
  forget_behind(engine, state_->sequence, 0);
  engine.sequences[state_->sequence.number] = nullptr;
}

Result<std::unique_ptr<Session>> Session::create(std::shared_ptr<RunnableModel> model, const SessionOptions& options) {
  GGUF_FUSE_ASSIGN(const std::shared_ptr<Engine> engine, Engine::create(std::move(model), options));
  return engine->open_session();
}

Engine& Session::engine() const { return *state_->engine; }

Result<StepReport> Session::evaluate(std::span<const std::int32_t> tokens) {
  const std::size_t before = size();
  const Engine::Part part{.session = this, .tokens = tokens};
  GGUF_FUSE_ASSIGN(const StepReport report, engine().evaluate({&part, 1}));
  if (size() != before + tokens.size()) return fail(interrupted(engine().state()));  // by the session's own control
  return report;
}

Result<std::vector<Candidate>> Session::top(std::uint32_t count) {
  GGUF_FUSE_CHECK(have_results(*state_, false));
  const std::span<const Candidate> candidates(state_->sequence.results.candidates);
  const auto first = candidates.first(std::min<std::size_t>(count, candidates.size()));
  return std::vector<Candidate>(first.begin(), first.end());
}

Result<std::vector<float>> Session::logits() {
  GGUF_FUSE_CHECK(have_results(*state_, true));
  const Results& results = state_->sequence.results;
  if (engine().state().options.all_logits) return results.logits;
  std::vector<float> row(engine().model()->description().vocabulary);
  GGUF_FUSE_CHECK(results.head->logits.read(std::as_writable_bytes(std::span(row)),
                                            std::uint64_t{results.row} * row.size() * sizeof(float)));
  return row;
}

Result<std::vector<RowStatistics>> Session::statistics() {
  GGUF_FUSE_CHECK(have_results(*state_, false));
  return state_->sequence.results.statistics;
}

std::span<const std::int32_t> Session::tokens() const { return state_->sequence.tokens; }

std::uint32_t Session::size() const { return state_->sequence.size(); }

std::uint32_t Session::capacity() const { return engine().state().options.context; }

std::uint32_t Session::micro_batch() const { return engine().micro_batch(); }

bool Session::stopped() const { return engine().stopped() || state_->sequence.stopped(); }

Result<void> Session::truncate(std::uint32_t tokens) {
  if (tokens > size()) return fail(too_many(engine(), size(), tokens));
  if (tokens == size()) return {};
  Sequence& sequence = state_->sequence;
  sequence.tokens.resize(tokens);
  forget_behind(engine().state(), sequence, tokens);
  sequence.results = {};
  return {};
}

Result<void> Session::begin_as(const Session& other, std::uint32_t tokens) {
  if (tokens > other.size()) return fail(too_many(engine(), other.size(), tokens));
  if (&other.engine() != &engine()) {
    return fail({.code = ErrorCode::InvalidArgument,
                 .path = engine().model()->description().path,
                 .expected = "a session of the same engine",
                 .actual = "one of another"});
  }
  if (&other == this) return truncate(tokens);
  Engine::State& state = engine().state();
  Sequence& sequence = state_->sequence;
  const Sequence& from = other.state_->sequence;
  forget_behind(state, sequence, 0);
  sequence.results = {};
  sequence.tokens.assign(from.tokens.begin(), from.tokens.begin() + tokens);
  sequence.long_factors = from.long_factors;
  sequence.held.resize(from.held.size());
  GGUF_FUSE_ASSIGN(const std::uint32_t shared, share_states(state, from, sequence, std::min(from.cached, tokens)));
  for (std::size_t i = 0; i < from.held.size(); ++i) {
    state.groups[i].share(from.held[i], sequence.held[i], shared);
  }
  sequence.cached = shared;
  forget_behind(state, sequence, shared);  // where windows have given back what would be looked at
  return {};
}

Result<void> Session::warm_up() { return engine().warm_up(); }

const BuildReport& Session::build_report() const { return engine().build_report(); }

std::uint64_t Session::cache_bytes() const { return engine().cache_bytes(); }

}  // namespace gguf_fuse::runtime
