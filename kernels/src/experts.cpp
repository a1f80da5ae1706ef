// SPDX-License-Identifier: MIT
#include "gguf_fuse/kernels/experts.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "invalid.hpp"
#include "matmul_program.hpp"
#include "prelude.hpp"
#include "prepare_program.hpp"
#include "route_program.hpp"

namespace gguf_fuse::kernels {
namespace {

/// Products of slots with their experts' matrices: what expert_gate_up and the batches of expert_down have in common.
struct Products {
  Activations kind = Activations::Q8;
  Activation activation = Activation::Silu;
  const ExpertMatrix& matrix;
  const Buffer& bias;
  const ExpertMatrix* up = nullptr;  ///< gated when there
  Buffer up_bias{};
  std::uint32_t weigh = 0;  ///< weigh_flag() of gate and up
  const Buffer& activations;
  const Buffer& out;
};

Result<void> check_part(const PackedShape& shape, const ExpertMatrix::Part& part) {
  GGUF_FUSE_CHECK(check_matrix({.buffer = part.buffer, .offset = part.offset, .shape = shape}));
  if (part.count < 2) return {};
  if (part.stride % 64 != 0 || part.stride < shape.bytes()) {
    return invalid("stride of experts", fmt::format("a multiple of 64, at least {}", shape.bytes()),
                   std::to_string(part.stride));
  }
  const std::uint64_t behind_first = part.buffer.bytes() - part.offset - shape.bytes();
  if (behind_first / part.stride < part.count - 1) {
    return invalid("experts", fmt::format("{} of {} bytes in their buffer", part.count, part.stride),
                   fmt::format("{} bytes from {}", part.buffer.bytes(), part.offset));
  }
  return {};
}

Result<void> check_experts(const ExpertMatrix& matrix, Activations kind, const RoutingShape& routing) {
  std::uint64_t next = 0;
  for (const ExpertMatrix::Part& part : matrix.parts) {
    if (part.first != next || part.count == 0) {
      return invalid("experts", fmt::format("a part from {}", next), fmt::format("{} from {}", part.count, part.first));
    }
    next += part.count;
    GGUF_FUSE_CHECK(check_part(matrix.shape, part));
  }
  if (next != routing.experts) {
    return invalid("experts", fmt::format("{}, as the routing", routing.experts), std::to_string(next));
  }
  if (kind == Activations::Q8 && holds_floats(*matrix.shape.type)) {
    return invalid(fmt::format("{} weights", matrix.shape.type->name), "F32 activations", "Q8");
  }
  return {};
}

Result<void> check_bias(const char* name, const Buffer& bias, const ExpertMatrix& matrix, const RoutingShape& routing) {
  if (!bias) return {};
  return check_buffers("experts", {{name, bias, std::uint64_t{routing.experts} * matrix.shape.rows * sizeof(float)}});
}

/// Bytes of activations: of the only token, or of all slots.
std::uint64_t activation_bytes(Activations kind, std::uint32_t columns, std::uint32_t tile, std::uint32_t slots) {
  return PreparedShape{.kind = kind, .columns = columns, .tile = tile, .max_tokens = slots}.bytes();
}

std::uint64_t slot_row_bytes(const RoutingShape& routing, std::uint32_t rows) {
  return std::uint64_t{all_slots(routing)} * rows * sizeof(float);
}

bool same_cut(const ExpertMatrix& a, const ExpertMatrix& b) {
  return std::equal(a.parts.begin(), a.parts.end(), b.parts.begin(), b.parts.end(),
                    [](const ExpertMatrix::Part& one, const ExpertMatrix::Part& other) {
                      return one.first == other.first && one.count == other.count;
                    });
}

void set_part(Launch& launch, int matrix, const PackedShape& shape, const ExpertMatrix::Part& part) {
  launch.set(fmt::format("weights_{}", matrix), part.buffer);
  launch.set(fmt::format("offset_{}", matrix), part.offset);
  launch.set(fmt::format("stride_{}", matrix), part.stride);
  launch.set(fmt::format("tile_bytes_{}", matrix), static_cast<std::uint32_t>(shape.tile_bytes()));
}

/// One work-item, or work-group, a block of rows and some tiles of slots; `tiles_per_item` is 1 for groups.
StepGrid products_grid(Style style, const RoutingShape& routing, std::uint32_t row_tiles,
                       std::uint32_t tiles_per_item) {
  const bool vector = style == Style::Vector;
  const std::uint32_t item_tiles = vector || routing.tile == 1 ? 1 : kGroupRowTiles;
  const std::size_t lanes = vector ? 1 : std::size_t{kTileRows} * item_tiles;
  const std::size_t slices = vector || routing.tile != 1 ? 1 : kGroupSlices;
  const std::size_t blocks = ceil_divide(row_tiles, item_tiles);
  return [=](const StepSize& size) {
    const std::uint32_t tiles = routing.slots(size.tokens) / routing.tile;
    return Grid{.global = {blocks * lanes, ceil_divide(tiles, tiles_per_item) * slices, 1},
                .local = {lanes, slices, 1}};
  };
}

/// A launch a part.
Result<std::vector<Stage>> product_stages(Device& device, const Products& products, const Routing& routing) {
  const DeviceProfile& profile = device.profile();
  const PackedShape& shape = products.matrix.shape;
  const ExpertMatrix& up = products.up != nullptr ? *products.up : products.matrix;
  ProductSpec spec{.name = "products of experts",
                   .file = "experts",
                   .types = {shape.type},
                   .kind = products.kind,
                   .tile = routing.shape.tile,
                   .gated = products.up != nullptr};
  if (spec.gated) spec.types.push_back(up.shape.type);
  GGUF_FUSE_ASSIGN(const std::shared_ptr<Program> program, device.program(product_program(profile, spec)));
  const std::uint32_t tiles_per_item =
      profile.style == Style::Vector && routing.shape.tile != 1
          ? std::clamp(shape.tiles() / (kItemsPerUnit * profile.compute_units), 1U, kMaxTokenTiles)
          : 1;
  std::vector<Stage> stages;
  for (std::size_t i = 0; i < products.matrix.parts.size(); ++i) {
    const ExpertMatrix::Part& part = products.matrix.parts[i];
    GGUF_FUSE_ASSIGN(Launch launch, Launch::make(program, "expert_products"));
    set_part(launch, 0, shape, part);
    set_part(launch, 1, up.shape, up.parts[i]);
    launch.set("bias_0", products.bias ? products.bias : products.out);
    launch.set("bias_1", products.up_bias ? products.up_bias : products.out);
    launch.set("rows", shape.rows).set("first_expert", part.first).set("expert_count", part.count);
    launch.set("tile_experts", routing.tile_experts);
    launch.set("tiles", all_slots(routing.shape) / routing.shape.tile);
    launch.set("activations", products.activations).set("out", products.out).set("groups", shape.groups());
    launch.set("slot_weights", routing.slot_weights);
    launch.set("flags", (products.bias ? kFlagBias : 0) | (products.up_bias ? kFlagUpBias : 0) | products.weigh);
    launch.set("activation", static_cast<std::uint32_t>(products.activation));
    if (profile.style == Style::Vector) launch.set("tiles_per_item", tiles_per_item);
    auto grid = products_grid(profile.style, routing.shape, shape.tiles(), tiles_per_item);
    launch.set_grid(grid({.tokens = 1}));
    GGUF_FUSE_CHECK(launch.check());
    stages.push_back(
        Stage{.launch = std::move(launch), .grid = std::move(grid), .cut = profile.style == Style::Vector});
  }
  return stages;
}

/// One token: weighted sums at once, a launch a part.
Result<std::vector<Stage>> sum_stages(Device& device, const ExpertDownShape& shape, const Routing& routing,
                                      const Buffer& activations, const Buffer& out) {
  const DeviceProfile& profile = device.profile();
  const ProductSpec spec{
      .name = "sums of experts", .file = "experts", .types = {shape.down.shape.type}, .kind = shape.kind, .tile = 1};
  GGUF_FUSE_ASSIGN(const std::shared_ptr<Program> program, device.program(product_program(profile, spec)));
  const std::size_t lanes = profile.style == Style::Vector ? 1 : kTileRows;
  const std::size_t slices = profile.style == Style::Vector ? 1 : kGroupSlices;
  const Grid grid{.global = {shape.down.shape.tiles() * lanes, slices, 1}, .local = {lanes, slices, 1}};
  std::vector<Stage> stages;
  for (const ExpertMatrix::Part& part : shape.down.parts) {
    // The first part stores what the others add to.
    const bool add = shape.epilogue == Epilogue::Add || !stages.empty();
    GGUF_FUSE_ASSIGN(Launch launch, Launch::make(program, "expert_sum"));
    set_part(launch, 0, shape.down.shape, part);
    launch.set("bias_0", shape.bias ? shape.bias : out);
    launch.set("rows", shape.down.shape.rows).set("first_expert", part.first).set("expert_count", part.count);
    launch.set("tile_experts", routing.tile_experts).set("choice_weights", routing.weights);
    launch.set("used", routing.shape.used).set("activations", activations).set("out", out);
    launch.set("groups", shape.down.shape.groups()).set("factor", shape.factor);
    launch.set("flags", (shape.bias ? kFlagBias : 0) | (add ? kFlagAdd : 0) | weigh_flag(routing.shape));
    launch.set_grid(grid);
    GGUF_FUSE_CHECK(launch.check());
    stages.push_back(Stage{.launch = std::move(launch),
                           .grid = [grid](const StepSize&) { return grid; },
                           .cut = profile.style == Style::Vector});
  }
  return stages;
}

Result<Stage> combine_stage(Device& device, const ExpertDownShape& shape, const Routing& routing, const Buffer& scratch,
                            const Buffer& out, const Buffer& step) {
  GGUF_FUSE_ASSIGN(std::shared_ptr<Program> program, routing_program(device));
  GGUF_FUSE_ASSIGN(Launch launch, Launch::make(std::move(program), "combine_experts"));
  launch.set("products", scratch).set("slots", routing.slots).set("weights", routing.weights);
  launch.set("out", out).set("step_info", step);
  launch.set("rows", shape.down.shape.rows).set("used", routing.shape.used).set("factor", shape.factor);
  launch.set("flags", (shape.epilogue == Epilogue::Add ? kFlagAdd : 0) | weigh_flag(routing.shape));
  const DeviceProfile profile = device.profile();
  launch.set_grid(task_grid(profile, 1));
  GGUF_FUSE_CHECK(launch.check());
  return Stage{.launch = std::move(launch),
               .grid = [profile](const StepSize& size) { return task_grid(profile, size.tokens); }};
}

}  // namespace

Result<Operation> expert_gate_up(Device& device, const ExpertGateUpShape& shape, const Routing& routing,
                                 const Buffer& activations, const Buffer& out, const Buffer& step) {
  GGUF_FUSE_CHECK(check_routing(routing));
  GGUF_FUSE_CHECK(check_experts(shape.gate, shape.kind, routing.shape));
  GGUF_FUSE_CHECK(check_experts(shape.up, shape.kind, routing.shape));
  const PackedShape& gate = shape.gate.shape;
  const PackedShape& up = shape.up.shape;
  if (gate.rows != up.rows || gate.columns != up.columns || !same_cut(shape.gate, shape.up)) {
    return invalid("up of the experts",
                   fmt::format("{} x {} in {} parts, as gate", gate.rows, gate.columns, shape.gate.parts.size()),
                   fmt::format("{} x {} in {}", up.rows, up.columns, shape.up.parts.size()));
  }
  GGUF_FUSE_CHECK(check_bias("gate_bias", shape.gate_bias, shape.gate, routing.shape));
  GGUF_FUSE_CHECK(check_bias("up_bias", shape.up_bias, shape.up, routing.shape));
  const std::uint32_t tokens = routing.shape.tile == 1 ? 1 : all_slots(routing.shape);
  GGUF_FUSE_CHECK(check_buffers(
      "expert_gate_up",
      {{"activations", activations, activation_bytes(shape.kind, gate.columns, routing.shape.tile, tokens)},
       {"out", out, slot_row_bytes(routing.shape, gate.rows)},
       {"step", step, StepTable::kHeaderBytes}}));
  GGUF_FUSE_ASSIGN(std::vector<Stage> stages, product_stages(device,
                                                             {.kind = shape.kind,
                                                              .activation = shape.activation,
                                                              .matrix = shape.gate,
                                                              .bias = shape.gate_bias,
                                                              .up = &shape.up,
                                                              .up_bias = shape.up_bias,
                                                              .weigh = weigh_flag(routing.shape),
                                                              .activations = activations,
                                                              .out = out},
                                                             routing));
  return Operation("expert_gate_up", std::move(stages));
}

Result<Operation> expert_down(Device& device, const ExpertDownShape& shape, const Routing& routing,
                              const Buffer& activations, const Buffer& scratch, const Buffer& out, const Buffer& step) {
  GGUF_FUSE_CHECK(check_routing(routing));
  GGUF_FUSE_CHECK(check_experts(shape.down, shape.kind, routing.shape));
  GGUF_FUSE_CHECK(check_bias("bias", shape.bias, shape.down, routing.shape));
  if (shape.epilogue != Epilogue::Store && shape.epilogue != Epilogue::Add) {
    return invalid("expert_down", "Store or Add", "an epilogue with an activation");
  }
  const PackedShape& down = shape.down.shape;
  GGUF_FUSE_CHECK(check_buffers(
      "expert_down", {{"activations", activations,
                       activation_bytes(shape.kind, down.columns, routing.shape.tile, all_slots(routing.shape))},
                      {"out", out, std::uint64_t{routing.shape.max_tokens} * down.rows * sizeof(float)},
                      {"step", step, StepTable::kHeaderBytes}}));
  if (routing.shape.tile == 1) {
    GGUF_FUSE_ASSIGN(std::vector<Stage> stages, sum_stages(device, shape, routing, activations, out));
    return Operation("expert_down", std::move(stages));
  }
  GGUF_FUSE_CHECK(check_buffers("expert_down", {{"scratch", scratch, slot_row_bytes(routing.shape, down.rows)}}));
  GGUF_FUSE_ASSIGN(
      std::vector<Stage> stages,
      product_stages(
          device,
          {.kind = shape.kind, .matrix = shape.down, .bias = shape.bias, .activations = activations, .out = scratch},
          routing));
  GGUF_FUSE_ASSIGN(Stage combine, combine_stage(device, shape, routing, scratch, out, step));
  stages.push_back(std::move(combine));
  return Operation("expert_down", std::move(stages));
}

}  // namespace gguf_fuse::kernels
