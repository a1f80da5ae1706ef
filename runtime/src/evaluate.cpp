// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>

#include "session_state.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

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

/// One micro-batch on its way. What the device reads of the host and writes to it lives here.
class MicroBatch {
 public:
  MicroBatch(Session::State& state, std::span<const std::int32_t> tokens, std::uint32_t past)
      : state_(state), tokens_(tokens), count_(static_cast<std::uint32_t>(tokens.size())), step_(count_, past) {}

  /// Enqueues everything, and waits for statistics and candidates.
  Result<void> run(Results& results) {
    GGUF_FUSE_CHECK(state_.tokens.write_later(std::as_bytes(tokens_)));
    for (std::size_t i = 0; i < state_.stages.size(); ++i) GGUF_FUSE_CHECK(run_stage(i));
    Head& head = state_.head;
    const bool all = state_.options.all_logits;
    rows_.resize(all ? count_ : 1);
    const auto rows = static_cast<std::uint32_t>(rows_.size());
    GGUF_FUSE_CHECK(enqueue(state_.stages.back(), head.operations, {.tokens = rows, .outputs = 1}));
    if (!all && state_.options.candidates > 0) {
      candidates_.resize(state_.options.candidates);
      GGUF_FUSE_CHECK(head.candidates.read_later(std::as_writable_bytes(std::span(candidates_))));
    }
    if (all) {
      logits_.resize(rows_.size() * state_.shared().description.vocabulary);
      GGUF_FUSE_CHECK(head.logits.read_later(std::as_writable_bytes(std::span(logits_))));
    }
    GGUF_FUSE_CHECK(head.statistics.read(std::as_writable_bytes(std::span(rows_))));
    state_.pace.end();
    for (const RowStatistics& row : rows_) {
      if (row.not_finite > 0) return fail(not_finite(state_, row.not_finite));
    }
    results.statistics.insert(results.statistics.end(), rows_.begin(), rows_.end());
    results.logits.insert(results.logits.end(), logits_.begin(), logits_.end());
    results.candidates = std::move(candidates_);
    return {};
  }

 private:
  Result<void> run_stage(std::size_t index) {
    StageBlocks& stage = state_.stages[index];
    const DeviceBuffers& buffers = state_.device_of(stage).buffers;
    GGUF_FUSE_CHECK(buffers.step.write_later(step_.bytes()));
    if (index > 0) {
      GGUF_FUSE_CHECK(hand_over(state_, state_.device_of(state_.stages[index - 1]).buffers, buffers, count_));
      state_.pace.end();
    }
    state_.pace.begin(count_);
    if (index == 0) GGUF_FUSE_CHECK(enqueue(stage, state_.embedding, step_.size()));
    return enqueue(stage, count_ == 1 ? stage.single : stage.batch, step_.size());
  }

  Result<void> enqueue(const StageBlocks& stage, std::vector<Operation>& operations, const StepSize& size) {
    const Device& device = *state_.device_of(stage).device;
    GGUF_FUSE_ASSIGN(const bool whole, state_.pace.enqueue(device, operations, size, state_.stop()));
    return whole ? Result<void>() : fail(interrupted(state_));
  }

  Session::State& state_;
  std::span<const std::int32_t> tokens_;
  std::uint32_t count_;
  StepTable step_;
  std::vector<RowStatistics> rows_;
  std::vector<float> logits_;
  std::vector<Candidate> candidates_;
};

}  // namespace

Error interrupted(const Session::State& state) {
  return {.code = ErrorCode::Interrupted,
          .path = state.shared().description.path,
          .hint = "what was evaluated before stays in the context"};
}

Result<void> run_micro_batch(Session::State& state, std::span<const std::int32_t> tokens, std::uint32_t past,
                             Results& results) {
  MicroBatch batch(state, tokens, past);
  Result<void> done = batch.run(results);
  if (!done) {
    // what was enqueued before the error still reads and writes memory of the batch and of the caller
    for (const DeviceState& device : state.devices) static_cast<void>(device.device->finish());
  }
  return done;
}

Result<void> fill_caches(Session::State& state, std::size_t count, std::size_t length) {
  GGUF_FUSE_CHECK(choose_frequencies(state, length));
  while (state.cached < count) {
    const std::size_t part = std::min<std::size_t>(count - state.cached, state.max_tokens);
    Results unused;
    GGUF_FUSE_CHECK(
        run_micro_batch(state, std::span(state.sequence).subspan(state.cached, part), state.cached, unused));
    state.cached += static_cast<std::uint32_t>(part);
  }
  return {};
}

}  // namespace gguf_fuse::runtime::detail
