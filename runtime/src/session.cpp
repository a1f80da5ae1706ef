// SPDX-License-Identifier: MIT
#include "gguf_fuse/runtime/session.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "clock.hpp"
#include "session_state.hpp"

namespace gguf_fuse {
namespace {

/// With all logits a micro-batch is this small: they take tokens x vocabulary floats.
constexpr std::uint32_t kMostLogitRows = 64;

Result<void> enqueue(std::vector<Operation>& operations, std::uint32_t tokens, std::uint32_t past) {
  for (Operation& operation : operations) GGUF_FUSE_CHECK(operation.enqueue(tokens, past));
  return {};
}

/// Carries the residual stream (and a branch that waits for its norm) from one device to the next.
Result<void> hand_over(Session::State& state, const DeviceBuffers& from, const DeviceBuffers& to,
                       std::uint32_t tokens) {
  const std::size_t count = std::size_t{tokens} * state.shared().hyperparameters.embedding;
  state.hidden.resize(count);
  const auto bytes = std::as_writable_bytes(std::span(state.hidden));
  GGUF_FUSE_CHECK(from.x.read(bytes));
  GGUF_FUSE_CHECK(to.x.write(bytes));
  if (!from.branch) return {};
  GGUF_FUSE_CHECK(from.branch.read(bytes));
  return to.branch.write(bytes);
}

Error not_finite(const Session::State& state, std::uint32_t count) {
  return {.code = ErrorCode::NotFinite,
          .path = state.shared().description.path,
          .expected = "numbers",
          .actual = fmt::format("{} of {} are NaN or infinite", count, state.shared().description.vocabulary)};
}

/// Enqueues everything a micro-batch needs, waits for its statistics and candidates.
Result<void> run_micro_batch(Session::State& state, std::span<const std::int32_t> tokens) {
  const auto count = static_cast<std::uint32_t>(tokens.size());
  const std::uint32_t past = state.past();
  const std::uint32_t step[4] = {past, count, 0, 0};
  GGUF_FUSE_CHECK(state.tokens.write_later(std::as_bytes(tokens)));
  for (std::size_t i = 0; i < state.stages.size(); ++i) {
    StageBlocks& stage = state.stages[i];
    const DeviceBuffers& buffers = state.devices[stage.device].buffers;
    GGUF_FUSE_CHECK(buffers.step.write_later(std::as_bytes(std::span(step))));
    if (i == 0) {
      GGUF_FUSE_CHECK(enqueue(state.embedding, count, past));
    } else {
      GGUF_FUSE_CHECK(hand_over(state, state.devices[state.stages[i - 1].device].buffers, buffers, count));
    }
    GGUF_FUSE_CHECK(enqueue(count == 1 ? stage.single : stage.batch, count, past));
  }
  Head& head = state.head;
  const std::uint32_t rows = state.options.all_logits ? count : 1;
  GGUF_FUSE_CHECK(enqueue(head.operations, rows, 0));
  state.statistics.resize(rows);
  if (!state.options.all_logits && state.options.candidates > 0) {
    state.candidates.resize(state.options.candidates);
    GGUF_FUSE_CHECK(head.candidates.read_later(std::as_writable_bytes(std::span(state.candidates))));
  }
  GGUF_FUSE_CHECK(head.statistics.read(std::as_writable_bytes(std::span(state.statistics))));
  for (const RowStatistics& row : state.statistics) {
    if (row.not_finite > 0) return fail(not_finite(state, row.not_finite));
  }
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
  auto state = std::make_unique<State>();
  state->model = std::move(model);
  state->options = options;
  if (state->options.context == 0) state->options.context = state->shared().hyperparameters.train_context;
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
  if (!state.ready) {
    GGUF_FUSE_CHECK(state.model->wait());
    GGUF_FUSE_CHECK(upload_frequencies(state));
    state.ready = true;
  }
  const std::string& path = state.shared().description.path;
  const auto vocabulary = static_cast<std::int32_t>(state.shared().description.vocabulary);
  const auto bad = std::find_if(tokens.begin(), tokens.end(), [&](auto t) { return t < 0 || t >= vocabulary; });
  if (bad != tokens.end()) {
    return fail({.code = ErrorCode::BadToken,
                 .path = path,
                 .expected = fmt::format("0 to {}", vocabulary - 1),
                 .actual = std::to_string(*bad)});
  }
  if (tokens.size() > capacity() - size()) {
    return fail({.code = ErrorCode::ContextFull,
                 .path = path,
                 .expected = fmt::format("at most {} more tokens of {}", capacity() - size(), capacity()),
                 .actual = std::to_string(tokens.size())});
  }
  const auto start = Clock::now();
  const auto count = static_cast<std::uint32_t>(tokens.size());
  while (!tokens.empty()) {
    if (state.options.cancelled != nullptr && *state.options.cancelled) {
      return fail(
          {.code = ErrorCode::Interrupted, .path = path, .hint = "what was evaluated before stays in the context"});
    }
    const auto part = tokens.first(std::min<std::size_t>(tokens.size(), state.max_tokens));
    GGUF_FUSE_CHECK(run_micro_batch(state, part));
    state.sequence.insert(state.sequence.end(), part.begin(), part.end());
    tokens = tokens.subspan(part.size());
  }
  return StepReport{.seconds = seconds_since(start), .tokens = count};
}

Result<std::vector<Candidate>> Session::top(std::uint32_t count) {
  const auto most = std::min<std::size_t>(count, state_->candidates.size());
  return std::vector<Candidate>(state_->candidates.begin(),
                                state_->candidates.begin() + static_cast<std::ptrdiff_t>(most));
}

Result<std::vector<float>> Session::logits() {
  std::vector<float> result(state_->statistics.size() * state_->shared().description.vocabulary);
  if (!result.empty()) GGUF_FUSE_CHECK(state_->head.logits.read(std::as_writable_bytes(std::span(result))));
  return result;
}

Result<std::vector<RowStatistics>> Session::statistics() { return state_->statistics; }

std::span<const std::int32_t> Session::tokens() const { return state_->sequence; }

std::uint32_t Session::size() const { return state_->past(); }

std::uint32_t Session::capacity() const { return state_->options.context; }

std::uint32_t Session::micro_batch() const { return state_->max_tokens; }

Result<void> Session::truncate(std::uint32_t tokens) {
  if (tokens > size()) {
    return fail({.code = ErrorCode::InvalidArgument,
                 .path = state_->shared().description.path,
                 .expected = fmt::format("at most {} tokens", size()),
                 .actual = std::to_string(tokens)});
  }
  state_->sequence.resize(tokens);
  state_->candidates.clear();
  state_->statistics.clear();
  return {};
}

Result<void> Session::warm_up() {
  const std::uint32_t before = size();
  const std::uint32_t batch = std::min({2U, state_->max_tokens, capacity() - before});
  const std::vector<std::int32_t> tokens(batch, 0);
  if (batch > 1) GGUF_FUSE_CHECK(evaluate(tokens));
  GGUF_FUSE_CHECK(truncate(before));
  if (batch > 0) GGUF_FUSE_CHECK(evaluate(std::span(tokens).first(1)));
  for (const DeviceState& device : state_->devices) device.device->save_programs();
  return truncate(before);
}

const Session::BuildReport& Session::build_report() const { return state_->build; }

std::uint64_t Session::cache_bytes() const { return state_->cache_bytes; }

}  // namespace gguf_fuse
