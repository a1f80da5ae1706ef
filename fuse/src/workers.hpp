// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

#include "gguf_fuse/fuse/pipeline.hpp"
#include "gguf_fuse/fuse/team.hpp"

namespace gguf_fuse::fuse::detail {

/// How often the disk is given what was written meanwhile, so that fsync finds little left. Once a chunk is too often:
/// the calls wait for the disk's queue, and with them the copying (docs/performance.md).
inline constexpr std::chrono::milliseconds kWriteBackPeriod{20};

/// How much of the memory limit each thread gets, and how large the pieces of work are.
struct WorkSize {
  unsigned threads = 1;
  std::uint64_t chunk_bytes = 0;  ///< a multiple of 4 KiB
};

/// Divides the memory limit: `buffers` chunks a thread, fewer threads before chunks smaller than 64 KiB.
/// Errors: MemoryLimitTooSmall.
[[nodiscard]] Result<WorkSize> work_size(const PipelineOptions& options, unsigned buffers);

/// run_team() of threads that do all the same and wait for nobody.
[[nodiscard]] Result<void> run_threads(unsigned threads, const std::function<Result<void>(FirstError&)>& work);

[[nodiscard]] Error interrupted();
[[nodiscard]] inline bool cancelled(const Control* control) {
  return control != nullptr && control->cancelled.load(std::memory_order_relaxed);
}
inline void count_bytes(Control* control, std::uint64_t bytes) {
  if (control != nullptr) control->bytes_done.fetch_add(bytes, std::memory_order_relaxed);
}
inline void start_count(Control* control, std::uint64_t total) {
  if (control == nullptr) return;
  control->bytes_done.store(0, std::memory_order_relaxed);
  control->bytes_total.store(total, std::memory_order_relaxed);
}

}  // namespace gguf_fuse::fuse::detail
