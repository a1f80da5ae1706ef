// SPDX-License-Identifier: MIT
#include "blocks/workspace.hpp"

#include "gguf_fuse/kernels/matmul.hpp"
#include "gguf_fuse/kernels/step.hpp"

namespace gguf_fuse::runtime::detail {

Result<void> float_rows(const Device& device, std::uint64_t tokens, std::uint64_t columns, Buffer& out) {
  if (columns == 0) return {};
  GGUF_FUSE_ASSIGN(out, device.allocate(tokens * columns * sizeof(float)));
  return {};
}

std::uint64_t prepared_bytes(std::uint64_t columns, std::uint32_t tokens) {
  std::uint64_t bytes = 0;
  for (const Activations kind : {Activations::Q8, Activations::F32}) {
    for (const std::uint32_t tile : {1U, kBatchTile}) {
      const PreparedShape shape{
          .kind = kind, .columns = static_cast<std::uint32_t>(columns), .tile = tile, .max_tokens = tokens};
      bytes = std::max(bytes, shape.bytes());
    }
  }
  return bytes;
}

Result<void> Workspace::allocate(const Device& device, const Most& most) {
  widen(most.embedding);
  GGUF_FUSE_ASSIGN(step, device.allocate(StepTable::most_bytes(most.tokens, sequences_)));
  GGUF_FUSE_CHECK(float_rows(device, most.tokens, most.embedding, x));
  if (most.branch) GGUF_FUSE_CHECK(float_rows(device, most.tokens, most.embedding, branch));
  GGUF_FUSE_ASSIGN(activations, device.allocate(prepared_bytes(columns_, most.tokens)));
  for (auto& [rope, buffer] : frequencies_) {
    GGUF_FUSE_ASSIGN(buffer, device.allocate(std::max(1U, rope->rotated / 2) * sizeof(float)));
  }
  for (auto& [kind, scratch] : kinds_) GGUF_FUSE_CHECK(scratch->allocate(device, most.tokens));
  return {};
}

}  // namespace gguf_fuse::runtime::detail
