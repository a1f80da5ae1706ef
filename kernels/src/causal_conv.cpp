// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "gguf_fuse/kernels/delta.hpp"
#include "invalid.hpp"
#include "prelude.hpp"

#include "prepare_program.hpp"
#include "style.hpp"

namespace gguf_fuse::kernels {
namespace {

constexpr std::uint32_t kLeastWidth = 2, kMostWidth = 16;
constexpr std::uint32_t kVector = 16;

Result<void> check(const ConvShape& shape, const ConvBuffers& buffers, const Buffer& step) {
  if (shape.channels == 0 || shape.channels % kVector != 0 || shape.width < kLeastWidth || shape.width > kMostWidth ||
      std::uint64_t{shape.offset} + shape.channels > shape.row || shape.max_tokens == 0 || shape.max_sequences == 0) {
    return invalid(
        "causal_conv",
        fmt::format("channels, a multiple of {}, that lie in their row, a width from {} to {}, tokens and "
                    "sequences",
                    kVector, kLeastWidth, kMostWidth),
        fmt::format("{} channels from {} on in rows of {}, width {}, {} tokens, {} sequences", shape.channels,
                    shape.offset, shape.row, shape.width, shape.max_tokens, shape.max_sequences));
  }
  const std::uint64_t channels = std::uint64_t{shape.channels} * sizeof(float);
  GGUF_FUSE_CHECK(
      check_buffers("causal_conv", {{"in", buffers.in, std::uint64_t{shape.row} * shape.max_tokens * sizeof(float)},
                                    {"weights", buffers.weights, channels * shape.width},
                                    {"state", buffers.state, shape.state_bytes()},
                                    {"out", buffers.out, channels * shape.max_tokens},
                                    {"step", step, StepTable::most_bytes(shape.max_tokens, shape.max_sequences)}}));
  if (buffers.out.identity() != buffers.in.identity()) return {};
  return invalid("causal_conv: out", "another buffer than in", "the same buffer");
}

}  // namespace

std::uint64_t ConvShape::state_bytes() const {
  return std::uint64_t{max_sequences} * (width - 1) * channels * sizeof(float);
}

Result<Operation> causal_conv(Device& device, const ConvShape& shape, const ConvBuffers& buffers, const Buffer& step) {
  GGUF_FUSE_CHECK(check(shape, buffers, step));
  const DeviceProfile profile = device.profile();
  const ProgramSpec spec{.file = "conv.cl", .defines = {{"CONV_WIDTH", fmt::format("{}", shape.width)}}};
  GGUF_FUSE_ASSIGN(std::shared_ptr<Program> program, device.program(in_style(spec, profile)));
  GGUF_FUSE_ASSIGN(Launch launch, Launch::make(std::move(program), "causal_conv"));
  launch.set("in", buffers.in).set("weights", buffers.weights).set("state", buffers.state).set("out", buffers.out);
  launch.set("step_info", step).set("channels", shape.channels).set("row", shape.row).set("offset", shape.offset);
  const std::uint32_t blocks =
      ceil_divide(shape.channels, profile.style == Style::Vector ? kConvChannels : kGroupLanes);
  return one_stage("causal_conv", std::move(launch), [=](const StepSize& size) {
    return task_grid(profile, blocks, size.tiles + size.runs - size.long_runs);
  });
}

}  // namespace gguf_fuse::kernels
