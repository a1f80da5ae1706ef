// SPDX-License-Identifier: MIT
#include "gguf_fuse/fuse/team.hpp"

#include <system_error>
#include <thread>
#include <vector>

namespace gguf_fuse::fuse {

void FirstError::set(Error error) {
  const std::lock_guard lock(mutex_);
  if (!error_) error_ = std::move(error);
  set_.store(true, std::memory_order_release);
}

Result<void> FirstError::result() const {
  const std::lock_guard lock(mutex_);
  if (error_) return fail(*error_);
  return {};
}

Result<void> run_team(unsigned threads, unsigned needed, FirstError& first,
                      const std::function<Result<void>(unsigned)>& work, const std::function<void()>& stop) {
  const auto fail_with = [&](Error error) {
    first.set(std::move(error));
    stop();
  };
  const auto body = [&](unsigned index) {
    if (auto done = without_exceptions([&] { return work(index); }); !done) fail_with(std::move(done).error());
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
  return first.result();
}

}  // namespace gguf_fuse::fuse
