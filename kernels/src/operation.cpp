// SPDX-License-Identifier: MIT
#include "gguf_fuse/kernels/operation.hpp"

namespace gguf_fuse {

Operation Operation::over(const std::function<std::uint32_t(std::uint32_t)>& rows) && {
  for (Stage& stage : stages_) {
    stage.grid = [rows, grid = std::move(stage.grid)](std::uint32_t tokens, std::uint32_t past) {
      return grid(rows(tokens), past);
    };
  }
  return std::move(*this);
}

Result<void> Operation::enqueue(std::uint32_t tokens, std::uint32_t past) {
  if (tokens == 0) return {};
  for (Stage& stage : stages_) {
    stage.launch.set_grid(stage.grid(tokens, past));
    GGUF_FUSE_CHECK(stage.launch.enqueue());
  }
  return {};
}

}  // namespace gguf_fuse
