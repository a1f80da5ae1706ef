// SPDX-License-Identifier: MIT
#include "prepare_program.hpp"

#include <fmt/format.h>

#include "prelude.hpp"
#include "style.hpp"

namespace gguf_fuse::kernels::detail {

Result<std::shared_ptr<Program>> rows_program(Device& device) {
  return device.program(in_style({.file = "rows.cl"}, device.profile()));
}

Grid task_grid(const DeviceProfile& profile, std::size_t tasks, std::size_t rows, std::size_t layers) {
  const std::size_t lanes = profile.style == Style::Vector ? 1 : kGroupLanes;
  return Grid{.global = {tasks * lanes, rows, layers}, .local = {lanes, 1, 1}};
}

Result<void> check_buffers(const std::string& operation, std::initializer_list<Need> needs) {
  for (const Need& need : needs) {
    if (need.buffer && need.buffer.bytes() >= need.bytes) continue;
    return fail(Error{.code = ErrorCode::InvalidArgument,
                      .subject = fmt::format("{}: {}", operation, need.name),
                      .expected = fmt::format("a buffer of {} bytes", need.bytes),
                      .actual = need.buffer ? fmt::format("{}", need.buffer.bytes()) : "none"});
  }
  return {};
}

Result<void> check_norm_buffers(const std::string& operation, const Buffer& weight, const Buffer& bias,
                                std::uint64_t bytes) {
  if (weight) GGUF_FUSE_CHECK(check_buffers(operation, {{"weight", weight, bytes}}));
  return bias ? check_buffers(operation, {{"bias", bias, bytes}}) : Result<void>();
}

Result<Operation> one_stage(std::string name, Launch launch, StepGrid grid, bool cut) {
  launch.set_grid(grid({.tokens = 1}));
  GGUF_FUSE_CHECK(launch.check());
  std::vector<Stage> stages;
  stages.push_back(Stage{.launch = std::move(launch), .grid = std::move(grid), .cut = cut});
  return Operation(std::move(name), std::move(stages));
}

}  // namespace gguf_fuse::kernels::detail
