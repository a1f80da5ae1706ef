// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "gguf_fuse/kernels/logits.hpp"
#include "gguf_fuse/runtime/engine.hpp"

namespace gguf_fuse::runtime {

/// One sequence of tokens on an engine: what the KV cache holds of it, and what the model says behind its last token.
/// Not for several threads at once.
class GGUF_FUSE_EXPORT Session {
 public:
  /// A session on an engine of its own. Errors: those of Engine::create.
  [[nodiscard]] static Result<std::unique_ptr<Session>> create(std::shared_ptr<RunnableModel> model,
                                                               const SessionOptions& options = {});
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  [[nodiscard]] Engine& engine() const;

  /// Appends tokens to the sequence. Afterwards the logits of the last one can be asked for. After every error the
  /// session can be used on: whole micro-batches of tokens were appended, or none, as tokens() tells. Errors:
  /// ContextFull and BadToken (nothing was appended), NotFinite, Interrupted (stopped() became true; what is on its way
  /// by then, some hundredths of a second, is waited for), OutOfDeviceMemory (of pages), those of
  /// RunnableModel::wait(), OpenClFailed.
  [[nodiscard]] Result<StepReport> evaluate(std::span<const std::int32_t> tokens);

  // What follows is of the last token of the sequence. A token whose results were lost, by truncate(), by an error of
  // evaluate(), or (all logits) by another step of the engine, is evaluated again. Errors: those of evaluate(),
  // InvalidArgument (an empty sequence).
  /// The largest logits, in descending order: `count` of them, or as many as options.candidates and the vocabulary
  /// allow; none with all_logits.
  [[nodiscard]] Result<std::vector<Candidate>> top(std::uint32_t count);
  /// All logits, a row; with all_logits those of every token of the last evaluate() unless they were lost, a row each.
  [[nodiscard]] Result<std::vector<float>> logits();
  /// Argmax and logsumexp of the same rows.
  [[nodiscard]] Result<std::vector<RowStatistics>> statistics();

  /// The tokens of the sequence: what evaluate() appended and truncate() left. Valid until either is called again.
  [[nodiscard]] std::span<const std::int32_t> tokens() const;
  /// How many they are, and how many the sequence can take.
  [[nodiscard]] std::uint32_t size() const;
  [[nodiscard]] std::uint32_t capacity() const;
  /// As Engine::micro_batch.
  [[nodiscard]] std::uint32_t micro_batch() const;
  /// Whether the Control of the model's options, or the session's own, is cancelled: nothing is computed then.
  [[nodiscard]] bool stopped() const;
  /// Forgets all but the first `tokens` tokens. Errors: InvalidArgument (more than there are).
  [[nodiscard]] Result<void> truncate(std::uint32_t tokens);
  /// Becomes the first `tokens` tokens of another sequence of the engine, whose pages are shared until one of both
  /// writes to them. Errors: InvalidArgument (another engine, more than there are).
  [[nodiscard]] Result<void> begin_as(const Session& other, std::uint32_t tokens);
  /// As of its engine.
  [[nodiscard]] Result<void> warm_up();
  [[nodiscard]] const BuildReport& build_report() const;
  [[nodiscard]] std::uint64_t cache_bytes() const;

  struct State;
  [[nodiscard]] State& state() { return *state_; }

 private:
  friend class Engine;
  explicit Session(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace gguf_fuse::runtime
