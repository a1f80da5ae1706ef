// SPDX-License-Identifier: MIT
#pragma once

#include <cstdlib>
#include <memory>
#include <vector>

#include "support/opencl_device.hpp"
#include "support/random.hpp"

namespace gguf_fuse::kernels {

/// The device that $GGUF_FUSE_TEST_DEVICE names; $GGUF_FUSE_TEST_STYLE may say vector or group.
inline Device& bench_device() {
  static const std::shared_ptr<Device> device = [] {
    const char* style = std::getenv("GGUF_FUSE_TEST_STYLE");
    return support::open_device({.style = style != nullptr ? style_by_name(style) : std::nullopt, .cache_folder = {}});
  }();
  return *device;
}

/// `count` random floats of [-1, 1) on the device.
inline Buffer random_buffer(std::size_t count) {
  support::Random random(count);
  std::vector<float> values(count);
  for (float& value : values) value = random.uniform();
  return support::buffer_of(bench_device(), values);
}

}  // namespace gguf_fuse::kernels
