// SPDX-License-Identifier: MIT
#include "cancel_watch.hpp"

#include <chrono>

#include "workers.hpp"

namespace gguf_fuse {

CancelWatch::CancelWatch(Source& source, const Control* control) {
  if (control == nullptr || !source.sequential()) return;
  thread_ = std::thread([this, &source, control] {
    std::unique_lock lock(mutex_);
    // A signal handler can only set a flag, so the flag is polled.
    while (!stopping_.wait_for(lock, std::chrono::milliseconds(50), [this] { return stop_; })) {
      if (cancelled(control)) source.cancel();
    }
  });
}

CancelWatch::~CancelWatch() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  stopping_.notify_all();
  thread_.join();
}

}  // namespace gguf_fuse
