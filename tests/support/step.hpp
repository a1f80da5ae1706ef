// SPDX-License-Identifier: MIT
#pragma once

#include "gguf_fuse/kernels/step.hpp"
#include "support/opencl_device.hpp"

namespace gguf_fuse::test_support {

inline void write_step(const Buffer& buffer, const StepTable& table) {
  value_of(buffer.write(table.bytes()).map([] { return 0; }));
}

inline Buffer step_buffer(const Device& device, const StepTable& table) {
  Buffer buffer = value_of(device.allocate(StepTable::most_bytes(table.size().tokens, table.size().runs)));
  write_step(buffer, table);
  return buffer;
}

/// A step of `tokens` tokens of one sequence behind `past` others.
inline Buffer step_buffer(const Device& device, std::uint32_t tokens, std::uint32_t past = 7) {
  return step_buffer(device, StepTable(tokens, past));
}

/// For steps that are written into it.
inline Buffer empty_step(const Device& device, std::uint32_t tokens = 4096, std::uint32_t sequences = 16) {
  Buffer buffer = value_of(device.allocate(StepTable::most_bytes(tokens, sequences)));
  value_of(buffer.fill(std::byte{0}).map([] { return 0; }));
  return buffer;
}

}  // namespace gguf_fuse::test_support
