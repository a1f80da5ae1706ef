// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "gguf_fuse/kernels/matmul.hpp"
#include "matmul_program.hpp"

namespace gguf_fuse::kernels {
namespace {

constexpr std::uint32_t kGroupsPerItem = 16;

}  // namespace

Result<Operation> embed(Device& device, const Matrix& table, float factor, const Buffer& tokens, const Buffer& out,
                        const Buffer& step) {
  GGUF_FUSE_CHECK(check_matrix(table));
  if (!tokens || !out || !step || out.bytes() < std::uint64_t{table.shape.columns} * sizeof(float) ||
      step.bytes() < StepTable::kHeaderBytes) {
    return fail(Error{.code = ErrorCode::InvalidArgument,
                      .subject = "embed",
                      .expected = fmt::format("tokens, rows of {} floats and a step buffer", table.shape.columns)});
  }
  const DeviceProfile& profile = device.profile();
  GGUF_FUSE_ASSIGN(std::shared_ptr<Program> program, device.program(embed_program(profile, *table.shape.type)));
  GGUF_FUSE_ASSIGN(Launch launch, Launch::make(std::move(program), "embed"));
  launch.set("weights", table.buffer).set("offset", table.offset);
  launch.set("tile_bytes", static_cast<std::uint32_t>(table.shape.tile_bytes()));
  launch.set("groups", table.shape.groups()).set("columns", table.shape.columns);
  launch.set("groups_per_item", kGroupsPerItem).set("factor", factor);
  launch.set("tokens", tokens).set("out", out).set("step_info", step);
  const std::size_t lanes = profile.style == Style::Vector ? 1 : kTileRows;
  const std::size_t items = (table.shape.groups() + kGroupsPerItem - 1) / kGroupsPerItem;
  auto grid = [=](const StepSize& size) {
    return Grid{.global = {items * lanes, size.tokens, 1}, .local = {lanes, 1, 1}};
  };
  launch.set_grid(grid({.tokens = 1}));
  GGUF_FUSE_CHECK(launch.check());
  std::vector<Stage> stages;
  stages.push_back(Stage{.launch = std::move(launch), .grid = grid});
  return Operation("embed", std::move(stages));
}

}  // namespace gguf_fuse::kernels
