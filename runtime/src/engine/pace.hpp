// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <optional>
#include <vector>

#include "clock.hpp"
#include "gguf_fuse/kernels/device.hpp"
#include "gguf_fuse/kernels/operation.hpp"
#include "gguf_fuse/runtime/namespace.hpp"

namespace gguf_fuse::runtime::detail {

/// Enqueues operations only a little ahead of the device, so that a stop is heard while a long prompt is computed.
///
/// They go out in portions with a marker behind each, and two portions at most are on their way: while the device works
/// on one the host waits for it with the next one enqueued, so that the device never waits. A portion is as many
/// operations as take some milliseconds, learned from how long the ones before took, or a part of one where one takes
/// longer and can be cut; what takes less as a whole, one token of a small model say, has no marker at all.
class Pace {
 public:
  /// A micro-batch begins, with nothing enqueued. Portions are of its number of tokens from now on.
  void begin(std::uint32_t tokens);
  /// False when `stop` was set by then: some of the operations may have been enqueued, the others were not. Errors:
  /// those of Operation::enqueue and Device::mark.
  [[nodiscard]] Result<bool> enqueue(const Device& device, std::vector<Operation>& operations, const StepSize& size,
                                     const std::atomic<bool>& stop);
  /// Everything enqueued since begin() has run by now: learns from how long it took, also what had no marker.
  void end();

 private:
  /// Operations, or a part of one, were enqueued.
  Result<void> count(const Device& device, double operations);
  /// Marks the end of a portion and waits for the portion before it.
  Result<void> end_portion(const Device& device);

  struct Learned {
    double operations = 1;  ///< of a portion, which may be a part of one
    std::uint32_t tokens = 1;
  };
  Learned single_, batch_;
  Learned* learned_ = &single_;
  bool was_long_ = false;  ///< the portion before, of one launch
  double enqueued_ = 0;    ///< of the present portion
  double all_ = 0;         ///< since begin()
  Clock::time_point start_;
  std::optional<Marker> before_;
  Clock::time_point begin_;  ///< of the portion that the device works on
};

}  // namespace gguf_fuse::runtime::detail
