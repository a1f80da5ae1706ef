// SPDX-License-Identifier: MIT
#include "engine/pace.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

namespace gguf_fuse::runtime::detail {
namespace {

// Two portions are what a stop waits for, and a marker costs some microseconds of the device and of the host.
constexpr double kShortPortion = 0.010;
constexpr double kLongPortion = 0.025;
constexpr double kMostOperations = 4096, kLeastOperations = 1.0 / 64;
// Launches are cut only where they took longer than this twice in a row: once may be another program's doing.
constexpr double kLongLaunch = 0.050;

}  // namespace

void Pace::begin(std::uint32_t tokens) {
  learned_ = tokens == 1 ? &single_ : &batch_;
  // what is learned from few tokens would be too much for many
  if (tokens > learned_->tokens) {
    learned_->operations = std::max(1.0, learned_->operations * learned_->tokens / tokens);
  }
  learned_->tokens = tokens;
  before_.reset();
  enqueued_ = all_ = 0;
  begin_ = start_ = Clock::now();
}

void Pace::end() {
  const double most = all_ * kLongPortion / std::max(seconds_since(start_), 1e-6);
  learned_->operations = std::min(std::max(most, 1.0), learned_->operations);
}

Result<bool> Pace::enqueue(const Device& device, std::vector<Operation>& operations, const StepSize& size,
                           const std::atomic<bool>& stop) {
  const std::function<Result<bool>(double)> launched = [&](double share) -> Result<bool> {
    GGUF_FUSE_CHECK(count(device, share));
    return !stop.load(std::memory_order_relaxed);
  };
  for (Operation& operation : operations) {
    if (stop.load(std::memory_order_relaxed)) return false;
    const auto parts = static_cast<std::uint32_t>(std::ceil(1 / std::min(learned_->operations, 1.0)));
    GGUF_FUSE_CHECK(operation.enqueue(size, parts, launched));
  }
  return !stop.load(std::memory_order_relaxed);
}

Result<void> Pace::count(const Device& device, double operations) {
  enqueued_ += operations;
  all_ += operations;
  // shares of an operation do not add up to it exactly
  constexpr double kRounding = 1e-6;
  return enqueued_ + kRounding >= learned_->operations ? end_portion(device) : Result<void>();
}

Result<void> Pace::end_portion(const Device& device) {
  GGUF_FUSE_ASSIGN(Marker marker, device.mark());
  if (before_) {
    GGUF_FUSE_CHECK(before_->wait());
    const double seconds = seconds_since(begin_);
    const bool was_long = std::exchange(was_long_, learned_->operations <= 1 && seconds > kLongLaunch);
    if (seconds < kShortPortion) {
      learned_->operations = std::min(kMostOperations, 2 * learned_->operations);
    } else if (seconds > kLongPortion && learned_->operations > 1) {
      learned_->operations = std::max(1.0, learned_->operations / 2);
    } else if (was_long && was_long_) {
      learned_->operations = std::max(kLeastOperations, learned_->operations * kLongPortion / seconds);
    }
  }
  begin_ = Clock::now();
  before_ = std::move(marker);
  enqueued_ = 0;
  return {};
}

}  // namespace gguf_fuse::runtime::detail
