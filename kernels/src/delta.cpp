// SPDX-License-Identifier: MIT
#include "gguf_fuse/kernels/delta.hpp"

#include <fmt/format.h>

#include "columns.hpp"
#include "invalid.hpp"
#include "prelude.hpp"

#include "prepare_program.hpp"
#include "style.hpp"

namespace gguf_fuse::kernels {
namespace {

constexpr std::uint32_t kVector = 16;
/// In the group style a lane keeps a quarter of it in registers.
constexpr std::uint32_t kMostKeySize = 256;

std::uint64_t floats(std::uint64_t count) { return count * sizeof(float); }

Result<void> check_heads(const DeltaShape& shape) {
  if (shape.key_heads != 0 && shape.value_heads != 0 && shape.value_heads % shape.key_heads == 0 &&
      shape.key_size != 0 && shape.key_size % kVector == 0 && shape.key_size <= kMostKeySize && shape.value_size != 0 &&
      shape.value_size % kVector == 0 && shape.max_tokens != 0 && shape.max_sequences != 0) {
    return {};
  }
  return invalid(
      "delta_rule",
      fmt::format("key heads that divide the value heads, sizes that are multiples of {}, of a key at most "
                  "{}, tokens and sequences",
                  kVector, kMostKeySize),
      fmt::format("{} key heads of {}, {} value heads of {}, {} tokens, {} sequences", shape.key_heads, shape.key_size,
                  shape.value_heads, shape.value_size, shape.max_tokens, shape.max_sequences));
}

Result<void> check_gate(const char* name, const Columns& shape, std::uint32_t heads) {
  GGUF_FUSE_CHECK(check_columns(name, shape));
  if (std::uint64_t{shape.segments} * shape.columns == heads) return {};
  return invalid(name, fmt::format("a column for each of {} value heads", heads), text_of(shape));
}

Result<void> check(const DeltaShape& shape, const DeltaBuffers& buffers, const Buffer& step) {
  GGUF_FUSE_CHECK(check_heads(shape));
  GGUF_FUSE_CHECK(check_gate("delta_rule: beta", shape.beta, shape.value_heads));
  GGUF_FUSE_CHECK(check_gate("delta_rule: alpha", shape.alpha, shape.value_heads));
  const std::uint64_t tokens = shape.max_tokens;
  GGUF_FUSE_CHECK(
      check_buffers("delta_rule", {{"qkv", buffers.qkv, floats(tokens * shape.channels())},
                                   {"beta", buffers.beta, floats(tokens * shape.beta.row)},
                                   {"alpha", buffers.alpha, floats(tokens * shape.alpha.row)},
                                   {"a", buffers.a, floats(shape.value_heads)},
                                   {"dt", buffers.dt, floats(shape.value_heads)},
                                   {"state", buffers.state, shape.state_bytes()},
                                   {"out", buffers.out, floats(tokens * shape.value_heads * shape.value_size)},
                                   {"step", step, StepTable::most_bytes(shape.max_tokens, shape.max_sequences)}}));
  if (buffers.out.identity() == buffers.qkv.identity()) {
    return invalid("delta_rule: out", "another buffer than qkv", "the same buffer");
  }
  if (shape.max_tokens == 1) return {};
  return check_buffers("delta_rule", {{"scratch", buffers.scratch, shape.scratch_bytes()}});
}

void set_inputs(Launch& launch, const DeltaShape& shape, const DeltaBuffers& buffers, const Buffer& step) {
  launch.set("qkv", buffers.qkv).set("beta", buffers.beta).set("alpha", buffers.alpha);
  launch.set("a", buffers.a).set("dt", buffers.dt).set("step_info", step).set("epsilon", shape.epsilon);
  launch.set("beta_row", shape.beta.row).set("beta_offset", shape.beta.offset);
  launch.set("beta_stride", shape.beta.stride).set("beta_columns", shape.beta.columns);
  launch.set("alpha_row", shape.alpha.row).set("alpha_offset", shape.alpha.offset);
  launch.set("alpha_stride", shape.alpha.stride).set("alpha_columns", shape.alpha.columns);
}

void set_heads(Launch& launch, const DeltaShape& shape) {
  launch.set("key_heads", shape.key_heads).set("value_heads", shape.value_heads);
  launch.set("tiled", std::uint32_t{shape.order == KeyHeads::Tiled});
}

/// Adds a stage whose grid is `tasks` of a step's size.
Result<void> add_stage(std::vector<Stage>& stages, const DeviceProfile& profile, Launch launch,
                       std::function<std::size_t(const StepSize&)> tasks) {
  const bool cut = profile.style == Style::Vector;
  Stage stage{
      .launch = std::move(launch),
      .grid = [profile, tasks = std::move(tasks)](const StepSize& size) { return task_grid(profile, tasks(size)); },
      .cut = cut};
  stage.launch.set_grid(stage.grid({.tokens = 1, .runs = 1}));
  GGUF_FUSE_CHECK(stage.launch.check());
  stages.push_back(std::move(stage));
  return {};
}

/// The launches for long runs.
Result<void> add_chunks(std::vector<Stage>& stages, const DeviceProfile& profile,
                        const std::shared_ptr<Program>& program, const DeltaShape& shape, const DeltaBuffers& buffers,
                        const Buffer& step) {
  GGUF_FUSE_ASSIGN(Launch tiles, Launch::make(program, "delta_tiles"));
  set_inputs(tiles, shape, buffers, step);
  set_heads(tiles, shape);
  tiles.set("scratch", buffers.scratch);
  GGUF_FUSE_CHECK(add_stage(stages, profile, std::move(tiles), [heads = shape.key_heads](const StepSize& size) {
    return std::size_t{size.tiles} * heads;
  }));
  GGUF_FUSE_ASSIGN(Launch chunks, Launch::make(program, "delta_chunks"));
  set_heads(chunks, shape);
  chunks.set("qkv", buffers.qkv).set("scratch", buffers.scratch).set("state", buffers.state);
  chunks.set("out", buffers.out).set("step_info", step);
  const std::size_t blocks = std::size_t{shape.value_heads} * (shape.value_size / kVector);
  return add_stage(stages, profile, std::move(chunks),
                   [blocks](const StepSize& size) { return size.long_runs * blocks; });
}

}  // namespace

std::uint64_t DeltaShape::state_bytes() const {
  return floats(std::uint64_t{max_sequences} * value_heads * key_size * value_size);
}

std::uint64_t DeltaShape::scratch_bytes() const {
  if (max_tokens == 1) return 0;
  const std::uint64_t tiles = std::uint64_t{ceil_divide(max_tokens, kBatchTile)} + max_sequences;
  const std::uint64_t keys = std::uint64_t{2} * key_heads * key_size * kBatchTile;
  return floats(tiles * (keys + std::uint64_t{value_heads} * kDeltaHeadFloats));
}

Work DeltaShape::work(std::uint32_t tokens) const {
  // S^T k, S^T q and the update, a multiply-add each for every element of the state.
  const double elements = static_cast<double>(value_heads) * key_size * value_size;
  const double row = channels() + static_cast<double>(value_heads) * value_size;
  return Work{.flops = 6 * elements * tokens, .bytes = sizeof(float) * (2 * elements + row * tokens)};
}

Result<Operation> delta_rule(Device& device, const DeltaShape& shape, const DeltaBuffers& buffers, const Buffer& step) {
  GGUF_FUSE_CHECK(check(shape, buffers, step));
  const DeviceProfile profile = device.profile();
  const ProgramSpec spec{.file = "delta.cl",
                         .defines = {{"KEY_SIZE", fmt::format("{}", shape.key_size)},
                                     {"VALUE_SIZE", fmt::format("{}", shape.value_size)}}};
  GGUF_FUSE_ASSIGN(const std::shared_ptr<Program> program, device.program(in_style(spec, profile)));
  std::vector<Stage> stages;
  if (shape.max_tokens > 1) GGUF_FUSE_CHECK(add_chunks(stages, profile, program, shape, buffers, step));
  GGUF_FUSE_ASSIGN(Launch singles, Launch::make(program, "delta_singles"));
  set_inputs(singles, shape, buffers, step);
  set_heads(singles, shape);
  singles.set("state", buffers.state).set("out", buffers.out);
  const std::uint32_t blocks = shape.value_size / kVector;
  const std::size_t parts = std::size_t{shape.value_heads} *
                            (profile.style == Style::Vector ? ceil_divide(blocks, kDeltaSingleBlocks) : blocks);
  GGUF_FUSE_CHECK(add_stage(stages, profile, std::move(singles),
                            [parts](const StepSize& size) { return (size.runs - size.long_runs) * parts; }));
  return Operation("delta_rule", std::move(stages));
}

}  // namespace gguf_fuse::kernels
