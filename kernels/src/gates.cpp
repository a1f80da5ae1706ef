// SPDX-License-Identifier: MIT
#include "columns.hpp"
#include "gguf_fuse/kernels/delta.hpp"
#include "invalid.hpp"
#include "prepare_program.hpp"

namespace gguf_fuse::kernels {
namespace {

std::uint64_t floats(std::uint32_t count) { return std::uint64_t{count} * sizeof(float); }

Result<void> check(const char* operation, const Columns& shape, const Buffer& x, const Columns& gate_shape,
                   const Buffer& gate, const Buffer& step) {
  GGUF_FUSE_CHECK(check_alike(operation, shape, gate_shape));
  GGUF_FUSE_CHECK(check_buffers(
      operation,
      {{"x", x, floats(shape.row)}, {"gate", gate, floats(gate_shape.row)}, {"step", step, StepTable::kHeaderBytes}}));
  if (x.identity() != gate.identity()) return {};
  return invalid(operation, "a gate beside x", "the same buffer");
}

Result<Launch> record(Device& device, const char* kernel, const Columns& shape, const Buffer& x,
                      const Columns& gate_shape, const Buffer& gate) {
  GGUF_FUSE_ASSIGN(std::shared_ptr<Program> program, rows_program(device));
  GGUF_FUSE_ASSIGN(Launch launch, Launch::make(std::move(program), kernel));
  launch.set("x", x).set("gate", gate).set("columns", shape.columns);
  launch.set("row", shape.row).set("offset", shape.offset).set("stride", shape.stride);
  launch.set("gate_row", gate_shape.row).set("gate_offset", gate_shape.offset).set("gate_stride", gate_shape.stride);
  return launch;
}

Result<Operation> each_segment(Device& device, const char* name, Launch launch, std::uint32_t segments) {
  return one_stage(name, std::move(launch), [profile = device.profile(), segments](const StepSize& size) {
    return task_grid(profile, segments, size.tokens);
  });
}

}  // namespace

Result<Operation> gated_norm(Device& device, const Columns& shape, float epsilon, const Buffer& x, const Buffer& weight,
                             const Columns& gate_shape, const Buffer& gate, const Buffer& step) {
  GGUF_FUSE_CHECK(check("gated_norm", shape, x, gate_shape, gate, step));
  GGUF_FUSE_CHECK(check_buffers("gated_norm", {{"weight", weight, floats(shape.columns)}}));
  GGUF_FUSE_ASSIGN(Launch launch, record(device, "gated_norm", shape, x, gate_shape, gate));
  launch.set("weight", weight).set("epsilon", epsilon);
  return each_segment(device, "gated_norm", std::move(launch), shape.segments);
}

Result<Operation> gate_columns(Device& device, const Columns& shape, const Buffer& x, const Columns& gate_shape,
                               const Buffer& gate, const Buffer& step) {
  GGUF_FUSE_CHECK(check("gate_columns", shape, x, gate_shape, gate, step));
  GGUF_FUSE_ASSIGN(Launch launch, record(device, "gate_columns", shape, x, gate_shape, gate));
  return each_segment(device, "gate_columns", std::move(launch), shape.segments);
}

}  // namespace gguf_fuse::kernels
