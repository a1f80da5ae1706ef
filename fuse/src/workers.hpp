// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>

#include "gguf_fuse/fuse/pipeline.hpp"

namespace gguf_fuse {

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

/// The first error of several threads; the others stop when they see it.
class FirstError {
 public:
  void set(Error error);
  [[nodiscard]] bool is_set() const { return set_.load(std::memory_order_acquire); }
  [[nodiscard]] Result<void> result();

 private:
  std::atomic<bool> set_{false};
  std::mutex mutex_;
  std::optional<Error> error_;
};

/// Runs `work(thread)` on `threads` threads (the caller's is one) until all return. A thread that cannot be started is
/// done without; an exception (bad_alloc) becomes SystemFailed.
[[nodiscard]] Result<void> run_threads(unsigned threads, const std::function<Result<void>(FirstError&)>& work);

/// `function()`, with exceptions (bad_alloc, above all) turned into SystemFailed: none may leave the library.
template <typename Function>
[[nodiscard]] auto without_exceptions(Function&& function) -> decltype(function()) {
  try {
    return function();
  } catch (const std::exception& exception) {
    return fail({.code = ErrorCode::SystemFailed, .actual = exception.what()});
  }
}

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

}  // namespace gguf_fuse
