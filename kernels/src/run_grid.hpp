// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>

#include "gguf_fuse/kernels/matmul.hpp"
#include "gguf_fuse/kernels/operation.hpp"
#include "gguf_fuse/kernels/step.hpp"
#include "prepare_program.hpp"

namespace gguf_fuse::kernels::detail {

/// A grid of what is done to runs, for an enqueue() that is told only how many tokens there are: as large as any step
/// of so many tokens of at most `max_sequences` sequences needs it, all of them long runs or all short ones. Tasks
/// beyond the step's own find so in its table.
[[nodiscard]] inline std::function<Grid(std::uint32_t, std::uint32_t)> run_grid(
    std::uint32_t max_sequences, std::function<Grid(const StepSize&)> grid) {
  return [max_sequences, grid = std::move(grid)](std::uint32_t tokens, std::uint32_t) {
    StepSize size{.tokens = tokens, .long_runs = std::min(tokens / 2, max_sequences)};
    size.runs = size.long_runs + std::min(tokens, max_sequences);
    if (size.long_runs > 0) size.tiles = ceil_divide(tokens, kBatchTile) + size.long_runs - 1;
    return grid(size);
  };
}

}  // namespace gguf_fuse::kernels::detail
