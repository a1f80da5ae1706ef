// SPDX-License-Identifier: MIT
#include "gguf_fuse/runtime/engine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "clock.hpp"
#include "engine/engine_state.hpp"

namespace gguf_fuse::runtime {
namespace detail {
namespace {

/// With all logits a micro-batch is this small: they take tokens x vocabulary floats.
constexpr std::uint32_t kMostLogitRows = 64;
/// More than any machine computes at once; tables of pages have a row for each.
constexpr std::uint32_t kMostSessions = 1024;

Result<void> check_tokens(const Engine::State& state, std::span<const std::int32_t> tokens) {
  const auto vocabulary = static_cast<std::int32_t>(state.shared().description.vocabulary);
  const auto bad = std::find_if(tokens.begin(), tokens.end(), [&](auto t) { return t < 0 || t >= vocabulary; });
  if (bad == tokens.end()) return {};
  return fail({.code = ErrorCode::BadToken,
               .path = state.shared().description.path,
               .expected = fmt::format("0 to {}", vocabulary - 1),
               .actual = std::to_string(*bad)});
}

/// Whether tokens fit behind a sequence.
Result<void> check_room(const Engine::State& state, const Append& one) {
  const std::uint32_t capacity = state.options.context, size = one.sequence->size();
  if (one.tokens.size() <= capacity - size) return {};
  return fail({.code = ErrorCode::ContextFull,
               .path = state.shared().description.path,
               .expected = fmt::format("at most {} more tokens of {}", capacity - size, capacity),
               .actual = std::to_string(one.tokens.size())});
}

/// Whether all of them together do.
Result<void> check_pages(Engine::State& state, std::span<const Append> all) {
  for (const Append& one : all) turn_for(state, *one.sequence, one.sequence->size() + one.tokens.size());
  for (std::size_t i = 0; i < state.groups.size(); ++i) {
    PageGroup& group = state.groups[i];
    if (group.pool().limit() < page_limit(state, 0)) continue;  // these give pages back in time
    std::vector<PageGroup::Demand> demands;
    for (const Append& one : all) {
      Sequence& sequence = *one.sequence;
      sequence.held.resize(state.groups.size());
      demands.push_back({.held = &sequence.held[i],
                         .position = sequence.cached,
                         .end = static_cast<std::uint32_t>(sequence.size() + one.tokens.size())});
    }
    if (group.needed(demands) > group.pool().free()) return fail(context_full(state));
  }
  return {};
}

std::string not_of_engine(const Engine& engine, std::span<const Engine::Part> parts) {
  std::set<const Session*> seen;
  for (const Engine::Part& part : parts) {
    if (part.session == nullptr || &part.session->engine() != &engine) return "another one's, or none";
    if (!seen.insert(part.session).second) return "the same one twice";
  }
  return {};
}

}  // namespace

Result<void> wait_until_ready(Engine::State& state) {
  if (state.ready) return {};
  GGUF_FUSE_CHECK(state.model->wait());
  state.ready = true;
  return {};
}

}  // namespace detail

Engine::Engine(std::unique_ptr<State> state) : state_(std::move(state)) {}

Engine::~Engine() {
  // Nothing may still run on buffers and host memory that go away with the engine.
  for (const DeviceState& device : state_->devices) static_cast<void>(device.device->finish());
  if (!state_->ready) return;
  for (const DeviceState& device : state_->devices) device.device->save_programs();
}

Result<std::shared_ptr<Engine>> Engine::create(std::shared_ptr<RunnableModel> model, const SessionOptions& options) {
  const auto start = Clock::now();
  if (!model) return fail({.code = ErrorCode::InvalidArgument, .expected = "a model", .actual = "none"});
  if (options.sessions == 0 || options.sessions > kMostSessions) {
    return fail({.code = ErrorCode::InvalidArgument,
                 .subject = "sessions",
                 .expected = fmt::format("1 to {}", kMostSessions),
                 .actual = std::to_string(options.sessions)});
  }
  auto state = std::make_unique<State>();
  state->model = std::move(model);
  state->options = options;
  if (state->options.context == 0) state->options.context = state->shared().network.sizes.train_context;
  state->options.candidates = std::min({options.candidates, 256U, state->shared().description.vocabulary});
  const std::uint32_t most = options.all_logits ? kMostLogitRows : std::max(state->options.context, options.sessions);
  state->max_tokens = std::max(std::clamp(options.micro_batch, 1U, most), options.sessions);
  state->sequences.resize(options.sessions);
  state->unseen.number = options.sessions;
  std::shared_ptr<Engine> engine(new Engine(std::move(state)));
  GGUF_FUSE_CHECK(build_graph(*engine->state_));
  BuildReport& build = engine->state_->build;
  build.seconds = seconds_since(start);
  for (const auto& device : engine->model()->devices()) {
    const Device::ProgramCount count = device->program_count();
    build.programs += count.all;
    build.cached += count.cached;
  }
  return engine;
}

Result<std::unique_ptr<Session>> Engine::open_session(const Control* control) {
  auto& sequences = state_->sequences;
  const auto free = std::find(sequences.begin(), sequences.end(), nullptr);
  if (free == sequences.end()) {
    return fail({.code = ErrorCode::InvalidArgument,
                 .path = state_->shared().description.path,
                 .expected = fmt::format("at most {} sessions at a time", sequences.size()),
                 .actual = "one more"});
  }
  auto state = std::make_unique<Session::State>();
  state->engine = shared_from_this();
  state->sequence.number = static_cast<std::uint32_t>(free - sequences.begin());
  state->sequence.control = control;
  *free = &state->sequence;
  return std::unique_ptr<Session>(new Session(std::move(state)));
}

Result<StepReport> Engine::evaluate(std::span<const Part> parts) {
  State& state = *state_;
  if (const std::string wrong = not_of_engine(*this, parts); !wrong.empty()) {
    return fail({.code = ErrorCode::InvalidArgument,
                 .path = state.shared().description.path,
                 .expected = "sessions of this engine, each once",
                 .actual = wrong});
  }
  GGUF_FUSE_CHECK(wait_until_ready(state));
  std::vector<Append> all;
  std::uint32_t before = 0;
  for (const Part& part : parts) {
    if (part.tokens.empty() || part.session->stopped()) continue;
    all.push_back({.sequence = &part.session->state().sequence, .tokens = part.tokens});
    GGUF_FUSE_CHECK(check_tokens(state, part.tokens));
    GGUF_FUSE_CHECK(check_room(state, all.back()));
    before += all.back().sequence->size();
  }
  GGUF_FUSE_CHECK(check_pages(state, all));
  if (stopped()) return fail(interrupted(state));
  const auto start = Clock::now();
  GGUF_FUSE_CHECK(append(state, all));
  // A conversation goes back to where an answer begins, or into it, and seldom further.
  for (const Append& one : all) {
    if (one.tokens.size() > 1) GGUF_FUSE_CHECK(copy_states(state, *one.sequence));
  }
  StepReport report{.seconds = seconds_since(start)};
  for (const Append& one : all) report.tokens += one.sequence->size();
  report.tokens -= before;
  return report;
}

std::uint32_t Engine::micro_batch() const { return state_->max_tokens; }

bool Engine::stopped() const { return state_->stop().load(); }

Result<void> Engine::warm_up() {
  State& state = *state_;
  GGUF_FUSE_CHECK(wait_until_ready(state));
  GGUF_FUSE_CHECK(choose_frequencies(state, state.long_factors.value_or(false)));
  constexpr std::array<std::int32_t, 2> kTokens{};
  // a sequence that nobody sees; the seconds that it took
  const auto evaluate = [&](std::uint32_t count) -> Result<double> {
    if (count > std::min(state.max_tokens, state.options.context)) return 0.0;
    const auto begin = Clock::now();
    GGUF_FUSE_CHECK(hold_pages(state, state.unseen, 0, count));
    const Piece piece{.sequence = &state.unseen, .position = 0, .tokens = std::span(kTokens).first(count)};
    std::vector<Results> unused;
    const Result<void> done = run_step(state, {&piece, 1}, unused);
    forget_behind(state, state.unseen, 0);
    GGUF_FUSE_CHECK(done);
    return seconds_since(begin);
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

const BuildReport& Engine::build_report() const { return state_->build; }

std::uint64_t Engine::cache_bytes() const {
  std::uint64_t bytes = 0;
  for (const PageGroup& group : state_->groups) bytes += group.bytes();
  return bytes;
}

const std::shared_ptr<RunnableModel>& Engine::model() const { return state_->model; }

}  // namespace gguf_fuse::runtime
