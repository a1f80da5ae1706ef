// SPDX-License-Identifier: MIT
#include "gguf_fuse/kernels/matmul.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "invalid.hpp"
#include "matmul_program.hpp"
#include "prelude.hpp"

namespace gguf_fuse::kernels {
namespace {

constexpr std::size_t kMaxMatrices = 3;
std::uint32_t divide_up(std::uint64_t a, std::uint64_t b) { return static_cast<std::uint32_t>((a + b - 1) / b); }

Result<void> check_matrices(const MatmulShape& shape) {
  const std::size_t count = shape.matrices.size();
  const bool gated = shape.epilogue == Epilogue::Gated, activated = shape.epilogue == Epilogue::Activated;
  if (count == 0 || count > kMaxMatrices || (gated && count != 2) || (activated && count != 1)) {
    return invalid("matrices", gated ? "2, gate and up" : activated ? "1" : "1 to 3", std::to_string(count));
  }
  if (activated && shape.activation == Activation::SiluOai) {
    return invalid("activation", "one that needs no up", "SiluOai");
  }
  for (const Matrix& matrix : shape.matrices) {
    GGUF_FUSE_CHECK(check_matrix(matrix));
    if (matrix.shape.columns != shape.matrices[0].shape.columns) {
      return invalid("columns", std::to_string(shape.matrices[0].shape.columns), std::to_string(matrix.shape.columns));
    }
    if (gated && matrix.shape.rows != shape.matrices[0].shape.rows) {
      return invalid("rows of up", std::to_string(shape.matrices[0].shape.rows), std::to_string(matrix.shape.rows));
    }
    if (shape.kind == Activations::Q8 && holds_floats(*matrix.shape.type)) {
      return invalid(fmt::format("{} weights", matrix.shape.type->name), "F32 activations", "Q8");
    }
  }
  return {};
}

Result<void> check_heads(const MatmulShape& shape) {
  if (shape.heads == 1) return {};
  const PackedShape& matrix = shape.matrices[0].shape;
  if (shape.heads != 0 && shape.matrices.size() == 1 && matrix.columns % kGroupElements == 0 &&
      matrix.rows % (std::uint64_t{shape.heads} * kTileRows) == 0) {
    return {};
  }
  return invalid(fmt::format("{} heads", shape.heads),
                 "one matrix, 16 rows or a multiple and 32 columns or a multiple a head",
                 fmt::format("{}, {} x {}", shape.matrices.size(), matrix.rows, matrix.columns));
}

Result<void> check(const MatmulShape& shape, const Buffer& activations, const Buffer& out, const Buffer& step) {
  if (shape.tile != 1 && shape.tile != kBatchTile) return invalid("tile", "1 or 16", std::to_string(shape.tile));
  GGUF_FUSE_CHECK(check_matrices(shape));
  GGUF_FUSE_CHECK(check_heads(shape));
  const std::uint64_t row_bytes = std::uint64_t{shape.rows()} * sizeof(float);
  const PreparedShape prepared{.kind = shape.kind, .columns = shape.matrices[0].shape.columns, .tile = shape.tile};
  const struct {
    std::string_view name;
    const Buffer& buffer;
    std::uint64_t bytes;
  } rows[] = {{"activations", activations, prepared.tile_bytes() * shape.heads},
              {"out", out, row_bytes},
              {"bias", shape.bias, shape.bias ? (shape.epilogue == Epilogue::Gated ? 2 : 1) * row_bytes : 0},
              {"step", step, StepTable::kHeaderBytes}};
  for (const auto& row : rows) {
    const std::uint64_t bytes = row.buffer ? row.buffer.bytes() : 0;
    if (bytes < row.bytes) {
      return invalid(std::string(row.name), fmt::format("{} bytes or more", row.bytes), std::to_string(bytes));
    }
  }
  return {};
}

/// The matrices' arguments; those that are not there point to the first and have no rows.
void set_matrices(Launch& launch, const MatmulShape& shape) {
  for (std::size_t i = 0; i < kMaxMatrices; ++i) {
    const bool there = i < shape.matrices.size();
    const Matrix& matrix = shape.matrices[there ? i : 0];
    launch.set(fmt::format("weights_{}", i), matrix.buffer);
    launch.set(fmt::format("offset_{}", i), matrix.offset);
    launch.set(fmt::format("rows_{}", i), there ? matrix.shape.rows : 0U);
    launch.set(fmt::format("tile_bytes_{}", i), static_cast<std::uint32_t>(matrix.shape.tile_bytes()));
  }
}

/// Blocks of `row_tiles` tiles of rows; no block holds rows of two matrices or heads. Gate and up are worked on
/// together.
std::uint32_t row_blocks(const MatmulShape& shape, std::uint32_t row_tiles) {
  if (shape.epilogue == Epilogue::Gated) return divide_up(shape.matrices[0].shape.tiles(), row_tiles);
  std::uint32_t blocks = 0;
  for (const Matrix& matrix : shape.matrices) {
    blocks += shape.heads * divide_up(matrix.shape.tiles() / shape.heads, row_tiles);
  }
  return blocks;
}

/// The vector style's cut into work-items, and the argument that tells the kernel.
StepGrid vector_grid(Launch& launch, const MatmulShape& shape, unsigned units) {
  const std::uint32_t blocks = row_blocks(shape, 1);
  const std::uint32_t token_tiles = std::clamp(blocks / (kItemsPerUnit * std::max(units, 1U)), 1U, kMaxTokenTiles);
  launch.set("token_tiles_per_item", token_tiles);
  return [blocks, item_tokens = shape.tile * token_tiles](const StepSize& size) {
    return Grid{.global = {blocks, divide_up(size.tokens, item_tokens), 1}, .local = {1, 1, 1}};
  };
}

StepGrid group_grid(const MatmulShape& shape) {
  const std::uint32_t row_tiles = shape.tile == 1 ? 1 : kGroupRowTiles;
  const std::uint32_t slices = shape.tile == 1 ? kGroupSlices : 1;
  const std::size_t lanes = std::size_t{kTileRows} * row_tiles;
  const std::size_t blocks = row_blocks(shape, row_tiles);
  return [=, tile = shape.tile](const StepSize& size) {
    return Grid{.global = {blocks * lanes, std::size_t{divide_up(size.tokens, tile)} * slices, 1},
                .local = {lanes, slices, 1}};
  };
}

}  // namespace

std::uint64_t PreparedShape::tile_bytes() const {
  return std::uint64_t{divide_up(columns, kGroupElements)} * token_group_bytes(kind) * tile;
}

std::uint32_t MatmulShape::rows() const {
  if (matrices.empty()) return 0;
  if (epilogue == Epilogue::Gated) return matrices[0].shape.rows;
  std::uint32_t sum = 0;
  for (const Matrix& matrix : matrices) sum += matrix.shape.rows;
  return sum;
}

Work MatmulShape::work(std::uint32_t tokens) const {
  Work work;
  if (matrices.empty()) return work;
  for (const Matrix& matrix : matrices) {
    work.flops += 2.0 * tokens * matrix.shape.columns * matrix.shape.rows;
    work.bytes += static_cast<double>(matrix.shape.bytes());
  }
  const PreparedShape prepared{.kind = kind, .columns = matrices[0].shape.columns, .tile = tile, .max_tokens = tokens};
  const double out_bytes = sizeof(float) * static_cast<double>(rows()) * tokens;
  work.bytes += static_cast<double>(prepared.bytes() * heads) + (epilogue == Epilogue::Add ? 2 : 1) * out_bytes;
  return work;
}

Result<Operation> matmul(Device& device, const MatmulShape& shape, const Buffer& activations, const Buffer& out,
                         const Buffer& step) {
  GGUF_FUSE_CHECK(check(shape, activations, out, step));
  GGUF_FUSE_ASSIGN(std::shared_ptr<Program> program, device.program(matmul_program(device.profile(), shape)));
  GGUF_FUSE_ASSIGN(Launch launch, Launch::make(std::move(program), "matmul"));
  set_matrices(launch, shape);
  launch.set("activations", activations);
  launch.set("bias", shape.bias ? shape.bias : out);
  launch.set("out", out);
  launch.set("groups", shape.matrices[0].shape.groups());
  launch.set("heads", shape.heads);
  launch.set("head_rows", shape.matrices[0].shape.rows / shape.heads);
  launch.set("factor", shape.factor);
  launch.set("flags", (shape.bias ? kFlagBias : 0) | (shape.epilogue == Epilogue::Add ? kFlagAdd : 0));
  launch.set("activation", static_cast<std::uint32_t>(shape.activation));
  launch.set("step_info", step);
  const DeviceProfile& profile = device.profile();
  auto grid = profile.style == Style::Vector ? vector_grid(launch, shape, profile.compute_units) : group_grid(shape);
  launch.set_grid(grid({.tokens = 1}));
  GGUF_FUSE_CHECK(launch.check());
  std::vector<Stage> stages;
  stages.push_back(Stage{.launch = std::move(launch), .grid = std::move(grid), .cut = profile.style == Style::Vector});
  return Operation("matmul", std::move(stages));
}

}  // namespace gguf_fuse::kernels
