// SPDX-License-Identifier: MIT
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "support/opencl_device.hpp"

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

}  // namespace gguf_fuse::test_support
