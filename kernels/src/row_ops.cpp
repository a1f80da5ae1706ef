// SPDX-License-Identifier: MIT
#include "gguf_fuse/kernels/row_ops.hpp"

#include <fmt/format.h>

#include <cmath>

#include "columns.hpp"
#include "prelude.hpp"
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
  return one_stage(kernel, std::move(launch),
                   [profile, segments](const StepSize& size) { return task_grid(profile, segments, size.tokens); });
}

/// A launch of a kernel of single numbers.
Result<Operation> record_pointwise(Device& device, const char* kernel, std::uint32_t columns, const Buffer& x,
                                   const Buffer& step, std::initializer_list<Argument> arguments) {
  GGUF_FUSE_CHECK(check_columns(kernel, {.row = columns, .columns = columns}));
  GGUF_FUSE_CHECK(check_buffers(kernel, {{"x", x, floats(columns)}, {"step", step, StepTable::kHeaderBytes}}));
  const std::uint32_t each = device.profile().style == Style::Vector ? kPointwiseChunk : kGroupLanes;
  return record(device, kernel, ceil_divide(columns, each), arguments);
}

/// The softplus of a number, without overflow.
float softplus(float x) { return std::fmax(x, 0.0F) + std::log1p(std::exp(-std::fabs(x))); }

}  // namespace

Result<Operation> copy_columns(Device& device, const Columns& from_shape, const Buffer& from, const Columns& to_shape,
                               const Buffer& to, const Buffer& step) {
  GGUF_FUSE_CHECK(check_alike("copy_columns", from_shape, to_shape));
  GGUF_FUSE_CHECK(check_buffers("copy_columns", {{"from", from, floats(from_shape.row)},
                                                 {"to", to, floats(to_shape.row)},
                                                 {"step", step, StepTable::kHeaderBytes}}));
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

Result<Operation> norm_columns(Device& device, const Columns& shape, const ColumnsNorm& norm, const Buffer& x,
                               const Buffer& step) {
  GGUF_FUSE_CHECK(check_columns("norm_columns", shape));
  if (norm.kind == Norm::None) {
    return fail(
        Error{.code = ErrorCode::InvalidArgument, .subject = "norm_columns", .expected = "a norm", .actual = "None"});
  }
  GGUF_FUSE_CHECK(
      check_buffers("norm_columns", {{"x", x, floats(shape.row)}, {"step", step, StepTable::kHeaderBytes}}));
  const std::uint64_t weights = floats(shape.columns) * (norm.each_segment ? shape.segments : 1);
  GGUF_FUSE_CHECK(check_norm_buffers("norm_columns", norm.weight, norm.bias, weights));
  return record(device, "norm_columns", shape.segments,
                {{"x", x},
                 {"weight", norm.weight ? norm.weight : x},
                 {"bias", norm.bias ? norm.bias : x},
                 {"columns", shape.columns},
                 {"row", shape.row},
                 {"offset", shape.offset},
                 {"stride", shape.stride},
                 {"weight_stride", norm.each_segment ? shape.columns : 0U},
                 {"epsilon", norm.epsilon},
                 {"norm", static_cast<std::uint32_t>(norm.kind)},
                 {"flags", (norm.weight ? kNormWeight : 0) | (norm.bias ? kNormBias : 0)}});
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
                                                 {"step", step, StepTable::kHeaderBytes}}));
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
      "gate_rows",
      {{"gate", gate, sizeof(float)}, {"x", x, floats(columns)}, {"step", step, StepTable::kHeaderBytes}}));
  return record(device, "gate_rows", 1, {{"gate", gate}, {"x", x}, {"columns", columns}});
}

Result<Operation> clamp_rows(Device& device, std::uint32_t columns, float most, const Buffer& x, const Buffer& step) {
  if (!(most > 0)) {
    return fail(Error{.code = ErrorCode::InvalidArgument,
                      .subject = "clamp_rows",
                      .expected = "a limit above 0",
                      .actual = fmt::format("{}", most)});
  }
  return record_pointwise(device, "clamp_rows", columns, x, step, {{"x", x}, {"columns", columns}, {"most", most}});
}

Result<Operation> xielu_rows(Device& device, std::uint32_t columns, const Xielu& activation, const Buffer& x,
                             const Buffer& step) {
  return record_pointwise(device, "xielu_rows", columns, x, step,
                          {{"x", x},
                           {"columns", columns},
                           {"alpha_n", activation.beta + softplus(activation.alpha_n)},
                           {"alpha_p", softplus(activation.alpha_p)},
                           {"beta", activation.beta},
                           {"epsilon", activation.epsilon}});
}

}  // namespace gguf_fuse::kernels
