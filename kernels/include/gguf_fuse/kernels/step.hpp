// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "gguf_fuse/kernels/namespace.hpp"
#include "gguf_fuse/loader/export.hpp"

namespace gguf_fuse::kernels {

/// Tokens of one sequence at consecutive positions, in neighbouring rows of a step.
struct StepRun {
  std::uint32_t first = 0;     ///< row of the first token
  std::uint32_t tokens = 0;    ///< at least one
  std::uint32_t position = 0;  ///< of the first token: how many tokens of its sequence are before it
  std::uint32_t sequence = 0;  ///< a row of the tables of pages, and the place of what else is kept for a sequence
};

/// What grids follow from.
struct StepSize {
  std::uint32_t tokens = 0;     ///< rows
  std::uint32_t runs = 0;       ///< of all lengths
  std::uint32_t long_runs = 0;  ///< of more than one token
  std::uint32_t tiles = 0;      ///< pieces of long runs
  std::uint32_t outputs = 0;    ///< rows whose logits are wanted
  std::uint32_t reach = 0;      ///< the most positions that the token of a short run sees, its own included
};

/// Which rows of a step are which tokens of which sequences: what kernels read instead of arguments, so that recorded
/// launches serve every step. In memory: StepHeader; then from the words that it names a StepToken for each row, a
/// StepRun for each run (long ones first), one for each piece of at most kBatchTile tokens of the long runs, and the
/// numbers of the rows whose logits are wanted.
class GGUF_FUSE_EXPORT StepTable {
 public:
  /// The first words of the table.
  struct Header {
    std::uint32_t tokens = 0;
    std::uint32_t runs = 0;
    std::uint32_t long_runs = 0;
    std::uint32_t tiles = 0;
    std::uint32_t outputs = 0;
    std::uint32_t tokens_at = 0;  ///< words from the beginning, as what follows
    std::uint32_t runs_at = 0;
    std::uint32_t tiles_at = 0;
    std::uint32_t outputs_at = 0;
    std::uint32_t unused[7] = {};
  };
  static constexpr std::uint64_t kHeaderBytes = sizeof(Header);
  struct Token {
    std::uint32_t position = 0;
    std::uint32_t sequence = 0;
  };

  StepTable() = default;
  /// `runs` in the order of their rows, which begin with 0 and leave none out; long runs are before the others. At most
  /// one run a sequence.
  StepTable(std::span<const StepRun> runs, std::span<const std::uint32_t> outputs);
  /// One run of a first sequence, whose last row's logits are wanted.
  StepTable(std::uint32_t tokens, std::uint32_t past);

  [[nodiscard]] const StepSize& size() const { return size_; }
  [[nodiscard]] std::span<const std::byte> bytes() const { return std::as_bytes(std::span(words_)); }
  /// The most bytes that a table of so many rows and sequences takes.
  [[nodiscard]] static std::uint64_t most_bytes(std::uint32_t tokens, std::uint32_t sequences);

 private:
  StepSize size_{};
  std::vector<std::uint32_t> words_{};
};

}  // namespace gguf_fuse::kernels
