// SPDX-License-Identifier: MIT
#include "gguf_fuse/kernels/prepare.hpp"

#include <fmt/format.h>

#include "prelude.hpp"
#include "prepare_program.hpp"

namespace gguf_fuse::kernels {
namespace {

Result<void> check(const PrepareShape& shape, const PrepareBuffers& buffers, const Buffer& step) {
  const PreparedShape& result = shape.result;
  if (result.columns == 0 || (result.tile != 1 && result.tile != kBatchTile) || result.max_tokens == 0) {
    return fail(Error{.code = ErrorCode::InvalidArgument,
                      .subject = "prepare",
                      .expected = "columns, tokens and a tile of 1 or 16",
                      .actual = fmt::format("{}, {} and {}", result.columns, result.max_tokens, result.tile)});
  }
  const std::uint64_t row = std::uint64_t{result.columns} * sizeof(float), rows = row * result.max_tokens;
  GGUF_FUSE_CHECK(check_buffers(
      "prepare",
      {{"x", buffers.x, rows}, {"out", buffers.out, result.bytes()}, {"step", step, StepTable::kHeaderBytes}}));
  if (shape.norm != Norm::None) GGUF_FUSE_CHECK(check_norm_buffers("prepare", buffers.weight, buffers.bias, row));
  if (shape.scaled) GGUF_FUSE_CHECK(check_buffers("prepare", {{"scale", buffers.scale, sizeof(float)}}));
  if (!shape.branch) return {};
  GGUF_FUSE_CHECK(check_buffers("prepare", {{"branch", buffers.branch, rows}}));
  if (shape.branch_norm == Norm::None) return {};
  if (shape.branch_norm == Norm::Layer) {
    return fail(Error{.code = ErrorCode::InvalidArgument,
                      .subject = "prepare: norm of the branch",
                      .expected = "Rms or None",
                      .actual = "Layer"});
  }
  return check_buffers("prepare", {{"post_weight", buffers.post_weight, row}});
}

std::uint32_t flags_of(const PrepareShape& shape, const PrepareBuffers& buffers) {
  const bool normed = shape.norm != Norm::None;
  return (normed && buffers.weight ? kNormWeight : 0) | (normed && buffers.bias ? kNormBias : 0) |
         (shape.branch ? kPrepareBranch : 0) | (shape.scaled ? kPrepareScaled : 0) |
         (shape.branch && shape.branch_norm == Norm::Rms ? kPrepareBranchNorm : 0);
}

}  // namespace

Work PrepareShape::work(std::uint32_t tokens) const {
  const double elements = static_cast<double>(result.columns) * tokens;
  PreparedShape prepared = result;
  prepared.max_tokens = tokens;
  // Sum of squares 2, factor and weight 2, quantising 3; a branch adds 5 and is read, a scale 1; both write x.
  const int flops = 7 + (branch ? 5 : 0) + (scaled ? 1 : 0), moved = 1 + (branch ? 1 : 0) + (branch || scaled ? 1 : 0);
  return Work{.flops = elements * flops,
              .bytes = elements * sizeof(float) * moved + static_cast<double>(prepared.bytes())};
}

Result<Operation> prepare(Device& device, const PrepareShape& shape, const PrepareBuffers& buffers,
                          const Buffer& step) {
  GGUF_FUSE_CHECK(check(shape, buffers, step));
  GGUF_FUSE_ASSIGN(std::shared_ptr<Program> program, rows_program(device));
  GGUF_FUSE_ASSIGN(Launch launch, Launch::make(std::move(program), "prepare"));
  // Buffers that this shape does not use stand for themselves with x.
  const std::uint32_t flags = flags_of(shape, buffers);
  const auto or_x = [&](const Buffer& buffer, std::uint32_t flag) { return flags & flag ? buffer : buffers.x; };
  launch.set("x", buffers.x).set("out", buffers.out).set("step_info", step);
  launch.set("weight", or_x(buffers.weight, kNormWeight)).set("bias", or_x(buffers.bias, kNormBias));
  launch.set("branch", or_x(buffers.branch, kPrepareBranch));
  launch.set("post_weight", or_x(buffers.post_weight, kPrepareBranchNorm));
  launch.set("scale", or_x(buffers.scale, kPrepareScaled));
  launch.set("columns", shape.result.columns).set("epsilon", shape.epsilon);
  launch.set("branch_factor", shape.branch_factor);
  launch.set("norm", static_cast<std::uint32_t>(shape.norm)).set("flags", flags);
  launch.set("kind", static_cast<std::uint32_t>(shape.result.kind)).set("tile", shape.result.tile);
  const DeviceProfile profile = device.profile();
  const std::uint32_t tile = shape.result.tile;
  return one_stage("prepare", std::move(launch), [profile, tile](const StepSize& size) {
    return task_grid(profile, std::size_t{ceil_divide(size.tokens, tile)} * tile);
  });
}

Result<Operation> take_rows(Device& device, std::uint32_t columns, const Buffer& x, const Buffer& out,
                            const Buffer& step) {
  const std::uint64_t row = std::uint64_t{columns} * sizeof(float);
  GGUF_FUSE_CHECK(
      check_buffers("take_rows", {{"x", x, row}, {"out", out, row}, {"step", step, StepTable::kHeaderBytes}}));
  GGUF_FUSE_ASSIGN(std::shared_ptr<Program> program, rows_program(device));
  GGUF_FUSE_ASSIGN(Launch launch, Launch::make(std::move(program), "take_rows"));
  launch.set("x", x).set("out", out).set("step_info", step).set("columns", columns);
  const DeviceProfile profile = device.profile();
  return one_stage("take_rows", std::move(launch),
                   [profile](const StepSize& size) { return task_grid(profile, size.outputs); });
}

}  // namespace gguf_fuse::kernels
