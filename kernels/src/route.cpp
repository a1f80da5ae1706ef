// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>

#include "invalid.hpp"
#include "prelude.hpp"
#include "prepare_program.hpp"
#include "route_program.hpp"
#include "style.hpp"

namespace gguf_fuse::kernels {
namespace {

Result<void> check_sizes(const RoutingShape& shape) {
  const bool possible = shape.experts != 0 && shape.experts <= kMostExperts && shape.used != 0 &&
                        shape.used <= std::min(kMostUsed, shape.experts) && shape.max_tokens != 0 &&
                        (shape.tile == kBatchTile || (shape.tile == 1 && shape.max_tokens == 1));
  if (possible) return {};
  return invalid("routing",
                 fmt::format("1 to {} of at most {} experts; tile 16, or 1 for one token", kMostUsed, kMostExperts),
                 fmt::format("{} of {}, tile {}, {} tokens", shape.used, shape.experts, shape.tile, shape.max_tokens));
}

Result<void> check(const RouterShape& shape, const RouterBuffers& buffers, const Routing& routing, const Buffer& step) {
  GGUF_FUSE_CHECK(check_routing(routing));
  if (shape.experts != routing.shape.experts || shape.used != routing.shape.used) {
    return invalid("route", fmt::format("{} of {} experts, as the routing", routing.shape.used, routing.shape.experts),
                   fmt::format("{} of {}", shape.used, shape.experts));
  }
  if (shape.groups == 0 || shape.experts % shape.groups != 0 || shape.groups_used == 0 ||
      shape.groups_used > shape.groups || shape.experts / shape.groups * shape.groups_used < shape.used) {
    return invalid("route",
                   fmt::format("equal groups of {} experts, and {} in those that take part", shape.experts, shape.used),
                   fmt::format("{} of {} groups", shape.groups_used, shape.groups));
  }
  const std::uint64_t row = std::uint64_t{shape.experts} * sizeof(float);
  GGUF_FUSE_CHECK(check_buffers(
      "route", {{"logits", buffers.logits, row * routing.shape.max_tokens}, {"step", step, StepTable::kHeaderBytes}}));
  if (buffers.selection_bias) {
    GGUF_FUSE_CHECK(check_buffers("route", {{"selection_bias", buffers.selection_bias, row}}));
  }
  if (buffers.expert_factor) {
    GGUF_FUSE_CHECK(check_buffers("route", {{"expert_factor", buffers.expert_factor, row}}));
  }
  return {};
}

Result<Stage> choosing(const std::shared_ptr<Program>& program, const DeviceProfile& profile, const RouterShape& shape,
                       const RouterBuffers& buffers, const Routing& routing, const Buffer& step) {
  GGUF_FUSE_ASSIGN(Launch launch, Launch::make(program, "route_tokens"));
  launch.set("logits", buffers.logits).set("step_info", step);
  launch.set("selection_bias", buffers.selection_bias ? buffers.selection_bias : buffers.logits);
  launch.set("expert_factor", buffers.expert_factor ? buffers.expert_factor : buffers.logits);
  launch.set("chosen", routing.experts).set("weights", routing.weights).set("slots", routing.slots);
  launch.set("slot_tokens", routing.tokens).set("tile_experts", routing.tile_experts);
  launch.set("routed_step", routing.step);
  launch.set("experts", shape.experts).set("used", shape.used);
  launch.set("gating", static_cast<std::uint32_t>(shape.gating));
  launch.set("expert_groups", shape.groups).set("groups_used", shape.groups_used).set("scale", shape.scale);
  launch.set("flags", (shape.normalise ? kRouteNormalise : 0) | (buffers.selection_bias ? kRouteSelectionBias : 0) |
                          (buffers.expert_factor ? kRouteExpertFactor : 0) |
                          (routing.shape.tile == 1 ? kRouteOneToken : 0));
  launch.set_grid(task_grid(profile, 1));
  GGUF_FUSE_CHECK(launch.check());
  return Stage{.launch = std::move(launch),
               .grid = [profile](const StepSize& size) { return task_grid(profile, size.tokens); }};
}

Result<Stage> grouping(const std::shared_ptr<Program>& program, const DeviceProfile& profile, const Routing& routing,
                       const Buffer& step) {
  GGUF_FUSE_ASSIGN(Launch launch, Launch::make(program, "group_slots"));
  launch.set("chosen", routing.experts).set("slots", routing.slots).set("slot_tokens", routing.tokens);
  launch.set("weights", routing.weights).set("slot_weights", routing.slot_weights);
  launch.set("tile_experts", routing.tile_experts).set("routed_step", routing.step).set("step_info", step);
  launch.set("experts", routing.shape.experts).set("used", routing.shape.used);
  launch.set("tiles", all_slots(routing.shape) / routing.shape.tile);
  launch.set_grid(task_grid(profile, 1));
  GGUF_FUSE_CHECK(launch.check());
  return Stage{.launch = std::move(launch), .grid = [profile](const StepSize&) { return task_grid(profile, 1); }};
}

}  // namespace

std::uint32_t RoutingShape::slots(std::uint32_t tokens) const {
  const std::uint64_t choices = std::uint64_t{tokens} * used;
  if (tile <= 1) return static_cast<std::uint32_t>(choices);
  // No expert's last tile holds less than one, and no expert has more choices than there are tokens.
  const std::uint64_t waste = std::min<std::uint64_t>(experts, choices) * (tile - 1);
  const std::uint64_t full = std::uint64_t{experts} * ((std::uint64_t{tokens} + tile - 1) / tile);
  return static_cast<std::uint32_t>(std::min((choices + waste) / tile, full) * tile);
}

Result<std::shared_ptr<Program>> detail::routing_program(Device& device) {
  return device.program(in_style({.file = "route.cl"}, device.profile()));
}

Result<void> detail::check_routing(const Routing& routing) {
  const RoutingShape& shape = routing.shape;
  GGUF_FUSE_CHECK(check_sizes(shape));
  const std::uint64_t choices = std::uint64_t{shape.max_tokens} * shape.used * sizeof(std::uint32_t);
  const std::uint64_t slots = std::uint64_t{all_slots(shape)} * sizeof(std::uint32_t);
  return check_buffers("routing", {{"experts", routing.experts, choices},
                                   {"weights", routing.weights, choices},
                                   {"slots", routing.slots, choices},
                                   {"tokens", routing.tokens, slots},
                                   {"slot_weights", routing.slot_weights, slots},
                                   {"tile_experts", routing.tile_experts, slots / shape.tile},
                                   {"step", routing.step, StepTable::kHeaderBytes}});
}

Result<Routing> allocate_routing(const Device& device, const RoutingShape& shape) {
  GGUF_FUSE_CHECK(check_sizes(shape));
  Routing routing{.shape = shape};
  const std::uint64_t choices = std::uint64_t{shape.max_tokens} * shape.used * sizeof(std::uint32_t);
  const std::uint64_t slots = std::uint64_t{all_slots(shape)} * sizeof(std::uint32_t);
  GGUF_FUSE_ASSIGN(routing.experts, device.allocate(choices));
  GGUF_FUSE_ASSIGN(routing.weights, device.allocate(choices));
  GGUF_FUSE_ASSIGN(routing.slots, device.allocate(choices));
  GGUF_FUSE_ASSIGN(routing.tokens, device.allocate(slots));
  routing.slot_weights = routing.weights;  // one token's slots are its choices
  if (shape.tile != 1) {
    GGUF_FUSE_ASSIGN(routing.slot_weights, device.allocate(slots));
  }
  GGUF_FUSE_ASSIGN(routing.tile_experts, device.allocate(slots / shape.tile));
  GGUF_FUSE_ASSIGN(routing.step, device.allocate(StepTable::kHeaderBytes));
  return routing;
}

Result<Operation> route(Device& device, const RouterShape& shape, const RouterBuffers& buffers, const Routing& routing,
                        const Buffer& step) {
  GGUF_FUSE_CHECK(check(shape, buffers, routing, step));
  GGUF_FUSE_ASSIGN(const std::shared_ptr<Program> program, routing_program(device));
  const DeviceProfile profile = device.profile();
  std::vector<Stage> stages;
  GGUF_FUSE_ASSIGN(Stage first, choosing(program, profile, shape, buffers, routing, step));
  stages.push_back(std::move(first));
  if (routing.shape.tile != 1) {
    GGUF_FUSE_ASSIGN(Stage second, grouping(program, profile, routing, step));
    stages.push_back(std::move(second));
  }
  return Operation("route", std::move(stages));
}

Result<Operation> gather_tokens(Device& device, const PreparedShape& shape, const Routing& routing, const Buffer& from,
                                const Buffer& out, const Buffer& step) {
  GGUF_FUSE_CHECK(check_routing(routing));
  if (shape.columns == 0 || shape.tile != kBatchTile || routing.shape.tile != kBatchTile) {
    return invalid("gather_tokens", "columns, in tiles of 16 tokens",
                   fmt::format("{}, in tiles of {}", shape.columns, shape.tile));
  }
  PreparedShape tokens = shape;
  tokens.max_tokens = routing.shape.max_tokens;
  PreparedShape slots = shape;
  slots.max_tokens = all_slots(routing.shape);
  GGUF_FUSE_CHECK(check_buffers(
      "gather_tokens",
      {{"from", from, tokens.bytes()}, {"out", out, slots.bytes()}, {"step", step, StepTable::kHeaderBytes}}));
  GGUF_FUSE_ASSIGN(std::shared_ptr<Program> program, routing_program(device));
  GGUF_FUSE_ASSIGN(Launch launch, Launch::make(std::move(program), "gather_tokens"));
  launch.set("slot_tokens", routing.tokens).set("tile_experts", routing.tile_experts);
  launch.set("from", from).set("to", out);
  launch.set("kind", static_cast<std::uint32_t>(shape.kind)).set("groups", ceil_divide(shape.columns, kGroupElements));
  const DeviceProfile profile = device.profile();
  return one_stage("gather_tokens", std::move(launch), [profile, routed = routing.shape](const StepSize& size) {
    return task_grid(profile, routed.slots(size.tokens) / routed.tile);
  });
}

}  // namespace gguf_fuse::kernels
