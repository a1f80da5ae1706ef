// SPDX-License-Identifier: MIT
#include "ticker.hpp"

#include <system_error>

namespace gguf_fuse::fuse::detail {

Ticker::Ticker(std::chrono::milliseconds period, std::function<void()> tick) : tick_(std::move(tick)) {
  try {
    thread_ = std::thread([this, period] { run(period); });
  } catch (const std::system_error&) {
    return;
  }
}

Ticker::~Ticker() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  stopping_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Ticker::run(std::chrono::milliseconds period) {
  std::unique_lock lock(mutex_);
  while (!stopping_.wait_for(lock, period, [this] { return stop_; })) tick_();
}

}  // namespace gguf_fuse::fuse::detail
