// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

#include "gguf_fuse/loader/error.hpp"

namespace gguf_fuse {

/// The first error of several threads; the others stop when they see it.
class FirstFailure {
 public:
  void set(Error error) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(error);
    set_.store(true, std::memory_order_release);
  }
  [[nodiscard]] bool is_set() const { return set_.load(std::memory_order_acquire); }
  [[nodiscard]] Result<void> result() const {
    const std::lock_guard lock(mutex_);
    if (error_) return fail(*error_);
    return {};
  }

 private:
  std::atomic<bool> set_{false};
  mutable std::mutex mutex_;
  std::optional<Error> error_;
};

/// Runs `work(0)` .. `work(threads - 1)` on a thread each (the caller's is the first) and waits for all. What ends with
/// an error, or with an exception (bad_alloc), goes into `failure`, and `stop` is called so that nobody waits for it. A
/// thread that cannot be started is done without, but for the first `needed`: their lack is an error (SystemFailed).
inline Result<void> run_team(unsigned threads, unsigned needed, FirstFailure& failure,
                             const std::function<Result<void>(unsigned)>& work, const std::function<void()>& stop) {
  const auto fail_with = [&](Error error) {
    failure.set(std::move(error));
    stop();
  };
  const auto body = [&](unsigned index) {
    try {
      if (auto done = work(index); !done) fail_with(std::move(done).error());
    } catch (const std::exception& exception) {
      fail_with({.code = ErrorCode::SystemFailed, .actual = exception.what()});
    }
  };
  std::vector<std::thread> others;
  others.reserve(threads);
  for (unsigned i = 1; i < threads; ++i) {
    try {
      others.emplace_back(body, i);
    } catch (const std::system_error& exception) {
      if (i < needed) fail_with({.code = ErrorCode::SystemFailed, .subject = "a thread", .actual = exception.what()});
      break;
    }
  }
  body(0);
  for (std::thread& other : others) other.join();
  return failure.result();
}

}  // namespace gguf_fuse
