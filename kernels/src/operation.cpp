// SPDX-License-Identifier: MIT
#include "gguf_fuse/kernels/operation.hpp"

#include <algorithm>

namespace gguf_fuse::kernels {

Operation Operation::over(const std::function<std::uint32_t(std::uint32_t)>& rows) && {
  for (Stage& stage : stages_) {
    stage.grid = [rows, grid = std::move(stage.grid)](std::uint32_t tokens, std::uint32_t past) {
      return grid(rows(tokens), past);
    };
  }
  return std::move(*this);
}

Result<void> Operation::enqueue(std::uint32_t tokens, std::uint32_t past) {
  return enqueue(tokens, past, 1, [](double) { return true; });
}

Result<void> Operation::enqueue(std::uint32_t tokens, std::uint32_t past, std::uint32_t parts,
                                const std::function<Result<bool>(double share)>& launched) {
  if (tokens == 0) return {};
  for (Stage& stage : stages_) {
    stage.launch.set_grid(stage.grid(tokens, past));
    const std::uint32_t of_stage = stage.cut ? std::max(parts, 1U) : 1;
    for (std::uint32_t part = 0; part < of_stage; ++part) {
      GGUF_FUSE_CHECK(stage.launch.enqueue(part, of_stage));
      GGUF_FUSE_ASSIGN(const bool goes_on, launched(1.0 / static_cast<double>(of_stage * stages_.size())));
      if (!goes_on) return {};
    }
  }
  return {};
}

}  // namespace gguf_fuse::kernels
