// SPDX-License-Identifier: MIT
#include "gguf_fuse/runtime/session.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "clock.hpp"
#include "engine/session_state.hpp"

namespace gguf_fuse::runtime {
namespace {

/// With all logits a micro-batch is this small: they take tokens x vocabulary floats.
constexpr std::uint32_t kMostLogitRows = 64;

/// The model is loaded; what is asked for before waits for it.
Result<void> wait_until_ready(Session::State& state) {
  if (state.ready) return {};
  GGUF_FUSE_CHECK(state.model->wait());
  state.ready = true;
  return {};
}

Result<void> check_tokens(const Session::State& state, std::span<const std::int32_t> tokens) {
  const auto vocabulary = static_cast<std::int32_t>(state.shared().description.vocabulary);
  const auto bad = std::find_if(tokens.begin(), tokens.end(), [&](auto t) { return t < 0 || t >= vocabulary; });
  if (bad == tokens.end()) return {};
  return fail({.code = ErrorCode::BadToken,
               .path = state.shared().description.path,
               .expected = fmt::format("0 to {}", vocabulary - 1),
               .actual = std::to_string(*bad)});
}

/// What a truncate() or a failed evaluate() has lost is computed again from the last token.
Result<void> have_results(Session::State& state) {
  if (!state.results.statistics.empty()) return {};
  if (state.sequence.empty()) {
    return fail({.code = ErrorCode::InvalidArgument,
                 .path = state.shared().description.path,
                 .expected = "a sequence with a token at least",
                 .actual = "an empty one, which has no logits",
                 .hint = "evaluate tokens first"});
  }
  GGUF_FUSE_CHECK(wait_until_ready(state));
  const std::uint32_t before = static_cast<std::uint32_t>(state.sequence.size()) - 1;
  GGUF_FUSE_CHECK(fill_caches(state, before, state.sequence.size()));
  Results results;
  GGUF_FUSE_CHECK(run_micro_batch(state, std::span(state.sequence).last(1), before, results));
  state.cached = before + 1;
  state.results = std::move(results);
  return {};
}

}  // namespace

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) {}
Session::~Session() {
  // Nothing may still run on buffers and host memory that go away with the session.
  for (const DeviceState& device : state_->devices) static_cast<void>(device.device->finish());
  if (!state_->ready) return;
  for (const DeviceState& device : state_->devices) device.device->save_programs();
}

Result<std::unique_ptr<Session>> Session::create(std::shared_ptr<RunnableModel> model, const SessionOptions& options) {
  const auto start = Clock::now();
  if (!model) return fail({.code = ErrorCode::InvalidArgument, .expected = "a model", .actual = "none"});
  auto state = std::make_unique<State>();
  state->model = std::move(model);
  state->options = options;
  if (state->options.context == 0) state->options.context = state->shared().network.sizes.train_context;
  state->options.candidates = std::min({options.candidates, 256U, state->shared().description.vocabulary});
  const std::uint32_t most = options.all_logits ? kMostLogitRows : state->options.context;
  state->max_tokens = std::clamp(options.micro_batch, 1U, most);
  std::unique_ptr<Session> session(new Session(std::move(state)));
  GGUF_FUSE_CHECK(build_graph(*session->state_));
  BuildReport& build = session->state_->build;
  build.seconds = seconds_since(start);
  for (const auto& device : session->state_->model->devices()) {
    const Device::ProgramCount count = device->program_count();
    build.programs += count.all;
    build.cached += count.cached;
  }
  return session;
}

Result<StepReport> Session::evaluate(std::span<const std::int32_t> tokens) {
  State& state = *state_;
  GGUF_FUSE_CHECK(wait_until_ready(state));
  GGUF_FUSE_CHECK(check_tokens(state, tokens));
  if (tokens.size() > capacity() - size()) {
    return fail({.code = ErrorCode::ContextFull,
                 .path = state.shared().description.path,
                 .expected = fmt::format("at most {} more tokens of {}", capacity() - size(), capacity()),
                 .actual = std::to_string(tokens.size())});
  }
  if (tokens.empty()) return StepReport{};
  if (stopped()) return fail(interrupted(state));
  const auto start = Clock::now();
  const auto count = static_cast<std::uint32_t>(tokens.size());
  const std::size_t length = size() + tokens.size();
  state.results = {};
  GGUF_FUSE_CHECK(fill_caches(state, size(), length));
  Results results;
  while (!tokens.empty()) {
    const auto part = tokens.first(std::min<std::size_t>(tokens.size(), state.max_tokens));
    if (!state.options.all_logits) results = {};
    GGUF_FUSE_CHECK(run_micro_batch(state, part, size(), results));
    state.sequence.insert(state.sequence.end(), part.begin(), part.end());
    state.cached = size();
    tokens = tokens.subspan(part.size());
  }
  state.results = std::move(results);
  return StepReport{.seconds = seconds_since(start), .tokens = count};
}

Result<std::vector<Candidate>> Session::top(std::uint32_t count) {
  GGUF_FUSE_CHECK(have_results(*state_));
  const std::span<const Candidate> candidates(state_->results.candidates);
  const auto first = candidates.first(std::min<std::size_t>(count, candidates.size()));
  return std::vector<Candidate>(first.begin(), first.end());
}

Result<std::vector<float>> Session::logits() {
  GGUF_FUSE_CHECK(have_results(*state_));
  if (state_->options.all_logits) return state_->results.logits;
  std::vector<float> result(state_->shared().description.vocabulary);
  GGUF_FUSE_CHECK(state_->head.logits.read(std::as_writable_bytes(std::span(result))));
  return result;
}

Result<std::vector<RowStatistics>> Session::statistics() {
  GGUF_FUSE_CHECK(have_results(*state_));
  return state_->results.statistics;
}

std::span<const std::int32_t> Session::tokens() const { return state_->sequence; }

std::uint32_t Session::size() const { return static_cast<std::uint32_t>(state_->sequence.size()); }

std::uint32_t Session::capacity() const { return state_->options.context; }

std::uint32_t Session::micro_batch() const { return state_->max_tokens; }

bool Session::stopped() const { return state_->stop().load(); }

Result<void> Session::truncate(std::uint32_t tokens) {
  State& state = *state_;
  if (tokens > size()) {
    return fail({.code = ErrorCode::InvalidArgument,
                 .path = state.shared().description.path,
                 .expected = fmt::format("at most {} tokens", size()),
                 .actual = std::to_string(tokens)});
  }
  if (tokens == size()) return {};
  state.sequence.resize(tokens);
  state.cached = std::min(state.cached, tokens);
  state.results = {};
  return {};
}

Result<void> Session::warm_up() {
  State& state = *state_;
  GGUF_FUSE_CHECK(wait_until_ready(state));
  GGUF_FUSE_CHECK(choose_frequencies(state, size()));
  state.results = {};
  constexpr std::array<std::int32_t, 2> kTokens{};
  // behind what the caches hold, where nobody reads what they hold then; the seconds that it took
  const auto evaluate = [&](std::uint32_t count) -> Result<double> {
    if (count > std::min(state.max_tokens, capacity() - state.cached)) return 0.0;
    const auto begin = std::chrono::steady_clock::now();
    Results unused;
    GGUF_FUSE_CHECK(run_micro_batch(state, std::span(kTokens).first(count), state.cached, unused));
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  // The first time a driver may compile. Where a token takes long after that, a prompt's kernels take several times as
  // long, and are better waited for by whoever has a prompt.
  constexpr double kLong = 1;
  GGUF_FUSE_ASSIGN(double seconds, evaluate(1));
  if (seconds > kLong) {
    GGUF_FUSE_ASSIGN(seconds, evaluate(1));
  }
  if (seconds < kLong) GGUF_FUSE_CHECK(evaluate(2));
  for (const DeviceState& device : state.devices) device.device->save_programs();
  return {};
}

const Session::BuildReport& Session::build_report() const { return state_->build; }

std::uint64_t Session::cache_bytes() const { return state_->cache_bytes; }

}  // namespace gguf_fuse::runtime
