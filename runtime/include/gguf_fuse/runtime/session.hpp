// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "gguf_fuse/kernels/attention.hpp"
#include "gguf_fuse/kernels/logits.hpp"
#include "gguf_fuse/runtime/model.hpp"

namespace gguf_fuse::runtime {

struct SessionOptions {
  std::uint32_t context = 0;        ///< positions of the KV cache; 0: as many as the model was trained with
  std::uint32_t micro_batch = 512;  ///< tokens computed at once (-ub)
  CacheType cache_k = CacheType::F16;
  CacheType cache_v = CacheType::F16;
  std::uint32_t candidates = 40;  ///< the most that top() gives, at most 256
  bool all_logits = false;        ///< keep the logits of every token; computes at most 64 at once, and no candidates
};

/// What one evaluate() took.
struct StepReport {
  double seconds = 0;
  std::uint32_t tokens = 0;
};

/// One sequence on one model: its KV cache, and the recorded operations of a step. Not for several threads at once.
class GGUF_FUSE_EXPORT Session {
 public:
  /// Builds programs and allocates caches; may be called while the model still loads. Errors: OutOfDeviceMemory,
  /// BufferTooLarge, KernelBuildFailed, UnsupportedHyperparameter, OpenClFailed, Interrupted, InvalidArgument (no
  /// model).
  [[nodiscard]] static Result<std::unique_ptr<Session>> create(std::shared_ptr<RunnableModel> model,
                                                               const SessionOptions& options = {});
  ~Session();

  /// Appends tokens to the sequence. Afterwards the logits of the last one can be asked for. After every error the
  /// session can be used on: whole micro-batches of tokens were appended, or none, as tokens() tells. Errors:
  /// ContextFull and BadToken (nothing was appended), NotFinite, Interrupted (stopped() became true; what is on its way
  /// by then, some hundredths of a second, is waited for), those of wait(), OpenClFailed.
  [[nodiscard]] Result<StepReport> evaluate(std::span<const std::int32_t> tokens);

  // What follows is of the last token of the sequence. A token whose results were lost, by truncate() or by an error of
  // evaluate(), is evaluated again. Errors: those of evaluate(), InvalidArgument (an empty sequence).
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
  /// The most tokens that are computed at once.
  [[nodiscard]] std::uint32_t micro_batch() const;
  /// Whether the Control of the model's options is cancelled: nothing is computed then.
  [[nodiscard]] bool stopped() const;
  /// Forgets all but the first `tokens` tokens. Errors: InvalidArgument (more than there are).
  [[nodiscard]] Result<void> truncate(std::uint32_t tokens);
  /// Runs one token and one batch and forgets them, so that drivers finish their machine code; then saves the programs.
  /// Where one token takes more than a second there is no batch.
  /// Errors: those of evaluate().
  [[nodiscard]] Result<void> warm_up();

  /// Programs of the model's devices, and how many of them came from the cache; seconds spent on recording this
  /// session.
  struct BuildReport {
    std::size_t programs = 0;
    std::size_t cached = 0;
    double seconds = 0;
  };
  [[nodiscard]] const BuildReport& build_report() const;
  /// Bytes of the KV cache.
  [[nodiscard]] std::uint64_t cache_bytes() const;

  struct State;

 private:
  explicit Session(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace gguf_fuse::runtime
