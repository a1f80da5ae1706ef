// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>

#include "engine/engine_state.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

/// Carries the residual stream (and a branch that waits to be added) from one device to the next.
Result<void> hand_over(Engine::State& state, const Workspace& from, const Workspace& to, std::uint32_t tokens) {
  const std::size_t count = std::size_t{tokens} * state.shared().network.sizes.embedding;
  state.hidden.resize(count);
  const auto bytes = std::as_writable_bytes(std::span(state.hidden));
  GGUF_FUSE_CHECK(from.x.read(bytes));
  GGUF_FUSE_CHECK(to.x.write(bytes));
  if (!from.branch) return {};
  GGUF_FUSE_CHECK(from.branch.read(bytes));
  return to.branch.write(bytes);
}

Error not_finite(const Engine::State& state, std::uint32_t count) {
  return {.code = ErrorCode::NotFinite,
          .path = state.shared().description.path,
          .expected = "numbers",
          .actual = fmt::format("{} of {} are NaN or infinite", count, state.shared().description.vocabulary)};
}

/// One step on its way. What the device reads of the host and writes to it lives here.
class Step {
 public:
  Step(Engine::State& state, std::span<const Piece> pieces) : state_(state), pieces_(pieces) {
    std::vector<StepRun> runs;
    std::vector<std::uint32_t> outputs;
    for (const Piece& piece : pieces) {
      const auto first = static_cast<std::uint32_t>(tokens_.size());
      const auto count = static_cast<std::uint32_t>(piece.tokens.size());
      runs.push_back({.first = first, .tokens = count, .position = piece.position, .sequence = piece.sequence->number});
      tokens_.insert(tokens_.end(), piece.tokens.begin(), piece.tokens.end());
      for (std::uint32_t i = state.options.all_logits ? 0 : count - 1; i < count; ++i) outputs.push_back(first + i);
    }
    table_ = StepTable(runs, outputs);
    output_.tokens = table_.size().outputs;
  }

  /// Enqueues everything, and waits for the numbers that come back.
  Result<void> run(std::vector<Results>& results) {
    ++state_.step;  // whatever comes of it, the logits of the one before are lost
    GGUF_FUSE_CHECK(state_.tokens.write_later(std::as_bytes(std::span(tokens_))));
    for (std::size_t i = 0; i < state_.stages.size(); ++i) GGUF_FUSE_CHECK(run_stage(i));
    HeadRows& head = output_.tokens == 1 && !state_.one.operations.empty() ? state_.one : state_.several;
    GGUF_FUSE_CHECK(head.step.write_later(std::as_bytes(std::span(&output_, 1))));
    GGUF_FUSE_CHECK(
        enqueue(state_.stages.back(), head.operations, {.tokens = output_.tokens, .outputs = output_.tokens}));
    GGUF_FUSE_CHECK(read(head));
    state_.pace.end();
    for (const RowStatistics& row : rows_) {
      if (row.not_finite > 0) return fail(not_finite(state_, row.not_finite));
    }
    hand_out(head, results);
    return {};
  }

 private:
  Result<void> run_stage(std::size_t index) {
    StageBlocks& stage = state_.stages[index];
    const Workspace& workspace = state_.device_of(stage).workspace;
    const StepSize& size = table_.size();
    GGUF_FUSE_CHECK(workspace.step.write_later(table_.bytes()));
    if (index > 0) {
      const Workspace& before = state_.device_of(state_.stages[index - 1]).workspace;
      GGUF_FUSE_CHECK(hand_over(state_, before, workspace, size.tokens));
      state_.pace.end();
    }
    state_.pace.begin(size.tokens);
    if (index == 0) GGUF_FUSE_CHECK(enqueue(stage, state_.embedding, size));
    return enqueue(stage, (size.tokens == 1 ? stage.single : stage.batch).operations, size);
  }

  Result<void> enqueue(const StageBlocks& stage, std::vector<Operation>& operations, const StepSize& size) {
    const Device& device = *state_.device_of(stage).device;
    GGUF_FUSE_ASSIGN(const bool whole, state_.pace.enqueue(device, operations, size, state_.stop()));
    return whole ? Result<void>() : fail(interrupted(state_));
  }

  Result<void> read(const HeadRows& head) {
    rows_.resize(output_.tokens);
    if (head.candidates) {
      candidates_.resize(std::size_t{output_.tokens} * state_.options.candidates);
      GGUF_FUSE_CHECK(head.candidates.read_later(std::as_writable_bytes(std::span(candidates_))));
    }
    if (state_.options.all_logits) {
      logits_.resize(std::size_t{output_.tokens} * state_.shared().description.vocabulary);
      GGUF_FUSE_CHECK(head.logits.read_later(std::as_writable_bytes(std::span(logits_))));
    }
    return head.statistics.read(std::as_writable_bytes(std::span(rows_)));
  }

  /// Some of what came back; nothing where nothing did.
  template <typename T>
  static std::vector<T> part(const std::vector<T>& all, std::size_t first, std::size_t count) {
    if (all.empty()) return {};
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(first);
    return {begin, begin + static_cast<std::ptrdiff_t>(count)};
  }

  /// Each piece gets its rows.
  void hand_out(const HeadRows& head, std::vector<Results>& results) const {
    const std::size_t vocabulary = state_.shared().description.vocabulary, best = state_.options.candidates;
    std::size_t row = 0;
    for (const Piece& piece : pieces_) {
      const std::size_t count = state_.options.all_logits ? piece.tokens.size() : 1;
      results.push_back({.statistics = part(rows_, row, count),
                         .logits = part(logits_, row * vocabulary, count * vocabulary),
                         .candidates = part(candidates_, row * best, best),
                         .head = &head,
                         .row = static_cast<std::uint32_t>(row + count - 1),
                         .step = state_.step});
      row += count;
    }
  }

  Engine::State& state_;
  std::span<const Piece> pieces_;
  std::vector<std::int32_t> tokens_;
  StepTable table_;
  StepTable::Header output_;
  std::vector<RowStatistics> rows_;
  std::vector<float> logits_;
  std::vector<Candidate> candidates_;
};

}  // namespace

Error interrupted(const Engine::State& state) {
  return {.code = ErrorCode::Interrupted,
          .path = state.shared().description.path,
          .hint = "what was evaluated before stays in the context"};
}

Result<void> run_step(Engine::State& state, std::span<const Piece> pieces, std::vector<Results>& results) {
  Step step(state, pieces);
  Result<void> done = step.run(results);
  if (!done) {
    // what was enqueued before the error still reads and writes memory of the step
    for (const DeviceState& device : state.devices) static_cast<void>(device.device->finish());
  }
  return done;
}

}  // namespace gguf_fuse::runtime::detail
