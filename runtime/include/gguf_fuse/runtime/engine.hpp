// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "gguf_fuse/kernels/attention.hpp"
#include "gguf_fuse/runtime/model.hpp"

namespace gguf_fuse::runtime {

class Session;

struct SessionOptions {
  /// Tokens that a session can have, and all of them together (-c); 0: as many as the model was trained with.
  std::uint32_t context = 0;
  std::uint32_t sessions = 1;       ///< the most at a time
  std::uint32_t micro_batch = 512;  ///< tokens computed at once, whosever they are (-ub)
  CacheType cache_k = CacheType::F16;
  CacheType cache_v = CacheType::F16;
  std::uint32_t candidates = 40;  ///< the most that Session::top() gives, at most 256
  bool all_logits = false;        ///< keep the logits of every token; computes at most 64 at once, and no candidates
};

/// What one evaluate() took.
struct StepReport {
  double seconds = 0;
  std::uint32_t tokens = 0;  ///< that were appended
};

/// Programs of the model's devices, and how many of them came from the cache; seconds spent on recording.
struct BuildReport {
  std::size_t programs = 0;
  std::size_t cached = 0;
  double seconds = 0;
};

/// What computes on a model: recorded operations, what they work in, and the KV cache. Sequences of tokens (sessions)
/// share it: a step takes tokens of any of them. Not for several threads at once, its sessions included.
///
/// The cache is made of pages of kPageTokens tokens. A sequence takes as many as it needs; memory grows with those that
/// are in use, up to the context. Layers with a window give back what none will look at again.
class GGUF_FUSE_EXPORT Engine : public std::enable_shared_from_this<Engine> {
 public:
  /// Builds programs and allocates buffers; may be called while the model still loads. Errors: OutOfDeviceMemory,
  /// BufferTooLarge, KernelBuildFailed, UnsupportedHyperparameter, OpenClFailed, Interrupted, InvalidArgument (no
  /// model, no sessions).
  [[nodiscard]] static Result<std::shared_ptr<Engine>> create(std::shared_ptr<RunnableModel> model,
                                                              const SessionOptions& options = {});
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  ~Engine();

  /// A new empty sequence. `control` stops it alone, within a micro-batch, and has to outlive it; null: none. Errors:
  /// InvalidArgument (as many as there may be are there).
  [[nodiscard]] Result<std::unique_ptr<Session>> open_session(const Control* control = nullptr);

  /// Tokens that are appended to a sequence.
  struct Part {
    Session* session = nullptr;
    std::span<const std::int32_t> tokens{};
  };
  /// Appends tokens to several sequences, in micro-batches that mix them: single tokens first, then as much of longer
  /// parts as there is room for. What each sequence says is what it says alone, but for the rounding of sums. A
  /// sequence whose control is cancelled meanwhile keeps what was appended by then; the others go on. Errors: those of
  /// Session::evaluate; InvalidArgument (a session of another engine, or twice).
  [[nodiscard]] Result<StepReport> evaluate(std::span<const Part> parts);

  /// The most tokens that are computed at once.
  [[nodiscard]] std::uint32_t micro_batch() const;
  /// Whether the Control of the model's options is cancelled: nothing is computed then.
  [[nodiscard]] bool stopped() const;
  /// Runs one token and one batch and forgets them, so that drivers finish their machine code; then saves the programs.
  /// Where one token takes more than a second there is no batch. Errors: those of evaluate().
  [[nodiscard]] Result<void> warm_up();
  [[nodiscard]] const BuildReport& build_report() const;
  /// Bytes of the KV cache: of pages that are in use or were.
  [[nodiscard]] std::uint64_t cache_bytes() const;
  [[nodiscard]] const std::shared_ptr<RunnableModel>& model() const;

  struct State;
  [[nodiscard]] State& state() { return *state_; }

 private:
  explicit Engine(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace gguf_fuse::runtime
