// SPDX-License-Identifier: MIT
#pragma once

#include "gguf_fuse/kernels/step.hpp"
#include "support/opencl_device.hpp"

namespace gguf_fuse::test_support {

inline void write_step(const Buffer& buffer, const StepTable& table) {
  value_of(buffer.write(table.bytes()).map([] { return 0; }));
}

/// A step of `tokens` tokens of one sequence behind `past` others.
inline Buffer step_buffer(const Device& device, std::uint32_t tokens, std::uint32_t past = 7) {
  const StepTable table(tokens, past);
  Buffer buffer = value_of(device.allocate(StepTable::most_bytes(tokens, 1)));
  write_step(buffer, table);
  return buffer;
}

/// For steps that are written into it.
inline Buffer empty_step(const Device& device, std::uint32_t tokens = 4096, std::uint32_t sequences = 16) {
  Buffer buffer = value_of(device.allocate(StepTable::most_bytes(tokens, sequences)));
  value_of(buffer.fill(std::byte{0}).map([] { return 0; }));
  return buffer;
}

}  // namespace gguf_fuse::test_support
