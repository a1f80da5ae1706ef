// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>

#include "gguf_fuse/fuse/namespace.hpp"
#include "gguf_fuse/loader/error.hpp"

namespace gguf_fuse::fuse {

/// `function()`, with exceptions (bad_alloc, above all) turned into SystemFailed: none may leave the library.
template <typename Function>
[[nodiscard]] auto without_exceptions(Function&& function) -> decltype(function()) {
  try {
    return function();
  } catch (const std::exception& exception) {
    return fail({.code = ErrorCode::SystemFailed, .actual = exception.what()});
  }
}

/// The first error of several threads; the others stop when they see it.
class FirstError {
 public:
  GGUF_FUSE_EXPORT void set(Error error);
  [[nodiscard]] bool is_set() const { return set_.load(std::memory_order_acquire); }
  [[nodiscard]] GGUF_FUSE_EXPORT Result<void> result() const;

 private:
  std::atomic<bool> set_{false};
  mutable std::mutex mutex_;
  std::optional<Error> error_;
};

/// Runs `work(0)` .. `work(threads - 1)` on a thread each (the caller's is the first) and waits for all. What ends with
/// an error, or with an exception (bad_alloc), goes into `first`, and `stop` is called so that nobody waits for it. A
/// thread that cannot be started is done without, but for the first `needed`: their lack is an error (SystemFailed).
[[nodiscard]] GGUF_FUSE_EXPORT Result<void> run_team(
    unsigned threads, unsigned needed, FirstError& first, const std::function<Result<void>(unsigned)>& work,
    const std::function<void()>& stop = [] {});

}  // namespace gguf_fuse::fuse
