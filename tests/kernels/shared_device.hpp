// SPDX-License-Identifier: MIT
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "gguf_fuse/kernels/operation.hpp"
#include "support/opencl_device.hpp"
#include "support/value_of.hpp"

namespace gguf_fuse::test_support {

/// The test device opened once a process for each way to write kernels, with the cache, so that a kernel is built once
/// for all tests and processes. Closed after the last test: drivers take themselves apart before the statics of a
/// program do.
class SharedDevices final : public testing::Environment {
 public:
  std::shared_ptr<Device> open(Style style, std::optional<DotProduct> dot) {
    std::shared_ptr<Device>& device = devices_[{style, dot}];
    if (!device) device = open_device({.style = style, .dot = dot});
    return device;
  }
  void TearDown() override { devices_.clear(); }

 private:
  std::map<std::pair<Style, std::optional<DotProduct>>, std::shared_ptr<Device>> devices_;
};

inline SharedDevices& shared_devices() {
  // Belongs to googletest.
  static auto* const devices = static_cast<SharedDevices*>(testing::AddGlobalTestEnvironment(new SharedDevices));
  return *devices;
}
// Before the tests start: an environment that is added later is not torn down.
inline const SharedDevices& kSharedDevices = shared_devices();

/// Without a dot product there is no inline assembly either; none named: as the profile says.
inline std::shared_ptr<Device> shared_device(Style style, std::optional<DotProduct> dot = std::nullopt) {
  return shared_devices().open(style, dot);
}

/// Enqueues an operation whole or, the next times, in parts: to the result that makes no difference.
inline void enqueue_in_parts(Operation& operation, const StepSize& size) {
  constexpr std::uint32_t kParts[] = {1, 2, 5, 64};
  static std::size_t times = 0;
  double launched = 0;
  const auto count = [&](double share) -> Result<bool> { return (launched += share) > 0; };
  value_of(operation.enqueue(size, kParts[times++ % std::size(kParts)], count).map([] { return 0; }));
  EXPECT_NEAR(launched, size.tokens == 0 ? 0.0 : 1.0, 1e-6);
}

}  // namespace gguf_fuse::test_support
