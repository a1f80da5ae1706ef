// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>

#include "gguf_fuse/kernels/operation.hpp"

namespace gguf_fuse::kernels::detail {

[[nodiscard]] constexpr std::uint32_t ceil_divide(std::uint32_t a, std::uint32_t b) { return a / b + (a % b != 0); }

/// The program of all operations on rows: prepare, take_rows, those of row_ops.hpp, softcap, statistics, top_k.
[[nodiscard]] Result<std::shared_ptr<Program>> rows_program(Device& device);

/// `tasks` x `rows` x `layers` tasks: one work-item each in the vector style, one work-group each in the group style.
[[nodiscard]] Grid task_grid(const DeviceProfile& profile, std::size_t tasks, std::size_t rows = 1,
                             std::size_t layers = 1);

/// A buffer that an operation needs, and how many bytes of it.
struct Need {
  const char* name;
  const Buffer& buffer;
  std::uint64_t bytes;
};

/// InvalidArgument unless all buffers are there and large enough.
[[nodiscard]] Result<void> check_buffers(const std::string& operation, std::initializer_list<Need> needs);

/// The same for a norm's weight and bias, `bytes` each, where they are there.
[[nodiscard]] Result<void> check_norm_buffers(const std::string& operation, const Buffer& weight, const Buffer& bias,
                                              std::uint64_t bytes);

/// An operation of one stage; `cut` as in Stage.
[[nodiscard]] Result<Operation> one_stage(std::string name, Launch launch, StepGrid grid, bool cut = false);

}  // namespace gguf_fuse::kernels::detail
