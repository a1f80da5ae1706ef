// SPDX-License-Identifier: MIT
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "gguf_fuse/kernels/operation.hpp"
#include "shared_device.hpp"
#include "support/opencl_device.hpp"
#include "support/random.hpp"
#include "support/step.hpp"

namespace gguf_fuse::test_support {

inline std::vector<float> random_floats(std::size_t count, std::uint64_t seed, float largest = 1) {
  Random random(seed);
  std::vector<float> values(count);
  for (float& value : values) value = random.uniform() * largest;
  return values;
}

/// Runs an operation once: sets the step buffer, enqueues, waits.
inline void run_operation(Device& device, Operation& operation, const Buffer& step, const StepTable& table) {
  write_step(step, table);
  enqueue_in_parts(operation, table.size());
  value_of(device.finish().map([] { return 0; }));
}
inline void run_operation(Device& device, Operation& operation, const Buffer& step, std::uint32_t tokens,
                          std::uint32_t past = 0) {
  run_operation(device, operation, step, StepTable(tokens, past));
}

inline Buffer zeros(Device& device, std::uint64_t bytes) {
  Buffer buffer = value_of(device.allocate(bytes));
  value_of(buffer.fill(std::byte{0}).map([] { return 0; }));
  return buffer;
}

/// The largest difference, relative to the largest magnitude expected.
template <typename T, typename U>
double relative_error(std::span<const T> found, std::span<const U> expected) {
  if (found.size() < expected.size()) return std::numeric_limits<double>::infinity();
  double largest = 0, difference = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double e = static_cast<double>(expected[i]), f = static_cast<double>(found[i]);
    if (!std::isfinite(f)) return std::numeric_limits<double>::infinity();
    largest = std::max(largest, std::abs(e));
    difference = std::max(difference, std::abs(e - f));
  }
  return difference == 0 ? 0 : difference / largest;
}

inline std::string style_test_name(const testing::TestParamInfo<Style>& info) {
  return info.param == Style::Vector ? "Vector" : "Group";
}

}  // namespace gguf_fuse::test_support
