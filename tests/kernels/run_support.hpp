// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "attention_support.hpp"
#include "gguf_fuse/kernels/step.hpp"

namespace gguf_fuse::test_support {

/// A run still without its row.
struct PlainRun {
  std::uint32_t sequence = 0;
  std::uint32_t position = 0;
  std::uint32_t tokens = 1;
};

/// Runs in neighbouring rows, in the order given.
inline std::vector<StepRun> runs_of(std::span<const PlainRun> plain) {
  std::vector<StepRun> runs;
  std::uint32_t first = 0;
  for (const PlainRun& run : plain) {
    runs.push_back({.first = first, .tokens = run.tokens, .position = run.position, .sequence = run.sequence});
    first += run.tokens;
  }
  return runs;
}

/// Runs an operation once for the rows of these runs.
inline void run_operation(Device& device, Operation& operation, const Buffer& step, std::span<const StepRun> runs) {
  run_operation(device, operation, step, StepTable(runs, {}));
}

}  // namespace gguf_fuse::test_support
