// SPDX-License-Identifier: MIT
#include "gguf_fuse/kernels/operation.hpp"

#include <algorithm>

#include "invalid.hpp"

namespace gguf_fuse::kernels {
namespace {

bool is_empty(const Grid& grid) {
  return std::find(grid.global.begin(), grid.global.end(), std::size_t{0}) != grid.global.end();
}

}  // namespace

Operation Operation::over(const std::function<std::uint32_t(std::uint32_t)>& rows) && {
  for (Stage& stage : stages_) {
    stage.grid = [rows, grid = std::move(stage.grid)](StepSize size) {
      size.tokens = rows(size.tokens);
      return grid(size);
    };
  }
  return std::move(*this);
}

Result<void> Operation::set(std::string_view argument, const ArgumentValue& value) {
  bool known = false;
  for (Stage& stage : stages_) {
    const std::vector<KernelArgument>& arguments = stage.launch.signature().arguments;
    if (std::none_of(arguments.begin(), arguments.end(), [&](const auto& has) { return has.name == argument; }))
      continue;
    known = true;
    GGUF_FUSE_CHECK(stage.launch.set(argument, value).check());
  }
  if (known) return {};
  return detail::invalid(name_, "an argument of one of its kernels", std::string(argument));
}

Result<void> Operation::enqueue(const StepSize& size) {
  return enqueue(size, 1, [](double) { return true; });
}

Result<void> Operation::enqueue(const StepSize& size, std::uint32_t parts,
                                const std::function<Result<bool>(double share)>& launched) {
  if (size.tokens == 0) return {};
  const auto launches =
      std::count_if(stages_.begin(), stages_.end(), [&](const Stage& stage) { return !is_empty(stage.grid(size)); });
  for (Stage& stage : stages_) {
    const Grid grid = stage.grid(size);
    if (is_empty(grid)) continue;
    stage.launch.set_grid(grid);
    const std::uint32_t of_stage = stage.cut ? std::max(parts, 1U) : 1;
    for (std::uint32_t part = 0; part < of_stage; ++part) {
      GGUF_FUSE_CHECK(stage.launch.enqueue(part, of_stage));
      GGUF_FUSE_ASSIGN(const bool goes_on, launched(1.0 / (of_stage * static_cast<double>(launches))));
      if (!goes_on) return {};
    }
  }
  return {};
}

}  // namespace gguf_fuse::kernels
