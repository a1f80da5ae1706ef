// SPDX-License-Identifier: MIT
#include "gguf_fuse/kernels/row_ops.hpp"

#include "columns.hpp"
#include "prepare_program.hpp"

namespace gguf_fuse::kernels {
namespace {

std::uint64_t floats(std::uint32_t count) { return std::uint64_t{count} * sizeof(float); }

Result<Operation> record(Device& device, const char* kernel, std::uint32_t segments,
                         std::initializer_list<Argument> arguments) {
  GGUF_FUSE_ASSIGN(std::shared_ptr<Program> program, rows_program(device));
  GGUF_FUSE_ASSIGN(Launch launch, Launch::make(std::move(program), kernel));
  for (const Argument& argument : arguments) launch.set(argument.name, argument.value);
  const DeviceProfile profile = device.profile();
  return one_stage(kernel, std::move(launch), [profile, segments](std::uint32_t tokens, std::uint32_t) {
    return task_grid(profile, segments, tokens);
  });
}

}  // namespace

Result<Operation> copy_columns(Device& device, const Columns& from_shape, const Buffer& from, const Columns& to_shape,
                               const Buffer& to, const Buffer& step) {
  GGUF_FUSE_CHECK(check_alike("copy_columns", from_shape, to_shape));
  GGUF_FUSE_CHECK(check_buffers(
      "copy_columns",
      {{"from", from, floats(from_shape.row)}, {"to", to, floats(to_shape.row)}, {"step", step, kStepBytes}}));
  return record(device, "copy_columns", from_shape.segments,
                {{"from", from},
                 {"to", to},
                 {"columns", from_shape.columns},
                 {"from_row", from_shape.row},
                 {"from_offset", from_shape.offset},
                 {"from_stride", from_shape.stride},
                 {"to_row", to_shape.row},
                 {"to_offset", to_shape.offset},
                 {"to_stride", to_shape.stride}});
}

Result<Operation> norm_columns(Device& device, const Columns& shape, float epsilon, const Buffer& x,
                               const Buffer& weight, const Buffer& step) {
  GGUF_FUSE_CHECK(check_columns("norm_columns", shape));
  GGUF_FUSE_CHECK(check_buffers(
      "norm_columns",
      {{"x", x, floats(shape.row)}, {"weight", weight, floats(shape.columns)}, {"step", step, kStepBytes}}));
  return record(device, "norm_columns", shape.segments,
                {{"x", x},
                 {"weight", weight},
                 {"columns", shape.columns},
                 {"row", shape.row},
                 {"offset", shape.offset},
                 {"stride", shape.stride},
                 {"epsilon", epsilon}});
}

Result<Operation> sum_of_norms(Device& device, std::uint32_t columns, float epsilon, const TwoBranches& branches,
                               const Buffer& out, const Buffer& step) {
  const std::uint64_t row = floats(columns);
  GGUF_FUSE_CHECK(check_columns("sum_of_norms", {.row = columns, .columns = columns}));
  GGUF_FUSE_CHECK(check_buffers("sum_of_norms", {{"a", branches.a, row},
                                                 {"a_weight", branches.a_weight, row},
                                                 {"b", branches.b, row},
                                                 {"b_weight", branches.b_weight, row},
                                                 {"out", out, row},
                                                 {"step", step, kStepBytes}}));
  return record(device, "sum_of_norms", 1,
                {{"a", branches.a},
                 {"a_weight", branches.a_weight},
                 {"b", branches.b},
                 {"b_weight", branches.b_weight},
                 {"out", out},
                 {"columns", columns},
                 {"epsilon", epsilon}});
}

Result<Operation> gate_rows(Device& device, std::uint32_t columns, const Buffer& gate, const Buffer& x,
                            const Buffer& step) {
  GGUF_FUSE_CHECK(check_columns("gate_rows", {.row = columns, .columns = columns}));
  GGUF_FUSE_CHECK(check_buffers(
      "gate_rows", {{"gate", gate, sizeof(float)}, {"x", x, floats(columns)}, {"step", step, kStepBytes}}));
  return record(device, "gate_rows", 1, {{"gate", gate}, {"x", x}, {"columns", columns}});
}

}  // namespace gguf_fuse::kernels
