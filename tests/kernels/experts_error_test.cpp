// SPDX-License-Identifier: MIT
#include "experts_fixture.hpp"

namespace gguf_fuse::kernels {
namespace {

using support::value_of;
using testing::HasSubstr;

class ExpertErrors : public testing::Test {
 protected:
  static void expect_refused(const Result<Operation>& operation, const std::string& words,
                             ErrorCode code = ErrorCode::InvalidArgument) {
    ASSERT_FALSE(operation) << words;
    EXPECT_EQ(operation.error().code, code) << operation.error().message();
    EXPECT_THAT(operation.error().message(), HasSubstr(words));
  }

  /// Four of 16 x 64, in parts of two.
  ExpertMatrix experts(const char* type = "Q8_0") {
    return support::upload_experts(*device_, support::random_experts(type, 4, 16, 64, 1), 2);
  }

  Routing routing(std::uint32_t tile = kBatchTile) {
    return value_of(
        allocate_routing(*device_, {.experts = 4, .used = 2, .tile = tile, .max_tokens = tile == 1 ? 1U : 32U}));
  }

  Result<Operation> gate_up(const ExpertGateUpShape& shape) {
    return expert_gate_up(*device_, shape, routing(), memory_, memory_, memory_);
  }

  Result<Operation> down(const ExpertDownShape& shape) {
    return expert_down(*device_, shape, routing(), memory_, memory_, memory_, memory_);
  }

  std::shared_ptr<Device> device_ = support::open_device();
  Buffer memory_ = value_of(device_->allocate(1 << 16));
  Buffer small_ = value_of(device_->allocate(8));
};

TEST_F(ExpertErrors, RefusesARoutingThatCannotBe) {
  for (const RoutingShape& shape :
       {RoutingShape{.experts = 0, .used = 1}, RoutingShape{.experts = 4, .used = 0},
        RoutingShape{.experts = 4, .used = 5}, RoutingShape{.experts = 1025, .used = 1},
        RoutingShape{.experts = 100, .used = 65}, RoutingShape{.experts = 4, .used = 1, .tile = 8},
        RoutingShape{.experts = 4, .used = 1, .tile = 1, .max_tokens = 2},
        RoutingShape{.experts = 4, .used = 1, .max_tokens = 0}}) {
    const auto made = allocate_routing(*device_, shape);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, ErrorCode::InvalidArgument);
  }
}

TEST_F(ExpertErrors, RefusesARouterThatDoesNotFit) {
  const auto attempt = [&](const RouterShape& shape, const RouterBuffers& buffers) {
    return route(*device_, shape, buffers, routing(), memory_);
  };
  expect_refused(attempt({.experts = 5, .used = 2}, {.logits = memory_}), "as the routing");
  expect_refused(attempt({.experts = 4, .used = 1}, {.logits = memory_}), "as the routing");
  expect_refused(attempt({.experts = 4, .used = 2, .groups = 3}, {.logits = memory_}), "groups");
  expect_refused(attempt({.experts = 4, .used = 2, .groups = 0}, {.logits = memory_}), "groups");
  expect_refused(attempt({.experts = 4, .used = 2, .groups = 2, .groups_used = 3}, {.logits = memory_}), "groups");
  expect_refused(attempt({.experts = 4, .used = 2, .groups = 4, .groups_used = 1}, {.logits = memory_}), "groups");
  expect_refused(attempt({.experts = 4, .used = 2}, {.logits = small_}), "logits");
  expect_refused(attempt({.experts = 4, .used = 2}, {.logits = memory_, .selection_bias = small_}), "selection_bias");
  expect_refused(attempt({.experts = 4, .used = 2}, {.logits = memory_, .expert_factor = small_}), "expert_factor");
  Routing broken = routing();
  broken.tile_experts = small_;
  expect_refused(route(*device_, {.experts = 4, .used = 2}, {.logits = memory_}, broken, memory_), "tile_experts");
}

TEST_F(ExpertErrors, RefusesToGatherWhatHasNoTiles) {
  const PreparedShape shape{.columns = 64};
  expect_refused(gather_tokens(*device_, shape, routing(1), memory_, memory_, memory_), "tiles of 16");
  expect_refused(gather_tokens(*device_, {.columns = 64, .tile = 1}, routing(), memory_, memory_, memory_),
                 "tiles of 16");
  expect_refused(gather_tokens(*device_, {}, routing(), memory_, memory_, memory_), "columns");
  expect_refused(gather_tokens(*device_, shape, routing(), small_, memory_, memory_), "from");
  expect_refused(gather_tokens(*device_, shape, routing(), memory_, small_, memory_), "out");
}

TEST_F(ExpertErrors, RefusesPartsWithGapsOrOutsideTheirBuffers) {
  ExpertMatrix wrong = experts();
  wrong.parts[1].first = 3;
  expect_refused(down({.down = wrong}), "a part from 2");
  wrong = experts();
  wrong.parts.pop_back();
  expect_refused(down({.down = wrong}), "as the routing");
  wrong = experts();
  wrong.parts[0].stride -= 64;
  expect_refused(down({.down = wrong}), "stride");
  wrong = experts();
  wrong.parts[0].stride += 64;
  expect_refused(down({.down = wrong}), "in their buffer");
  wrong = experts();
  wrong.parts[0].stride = std::uint64_t{1} << 63;
  expect_refused(down({.down = wrong}), "in their buffer");
  wrong = experts();
  wrong.parts[1].offset += 32;
  expect_refused(down({.down = wrong}), "multiple of 64");
  wrong = experts();
  wrong.parts[1].offset += 1 << 20;
  expect_refused(down({.down = wrong}), "in its buffer");
}

TEST_F(ExpertErrors, RefusesMatricesThatItCannotMultiply) {
  expect_refused(down({.down = {.shape = {.type = find_tensor_type("Q8_K"), .rows = 16, .columns = 256},
                                .parts = experts().parts}}),
                 "Q8_K", ErrorCode::UnsupportedType);
  expect_refused(down({.down = experts("F32")}), "F32 activations");
  expect_refused(down({.epilogue = Epilogue::Gated, .down = experts()}), "Store or Add");
  expect_refused(down({.epilogue = Epilogue::Activated, .down = experts()}), "Store or Add");
  ExpertMatrix narrow = experts();
  narrow.shape.columns = 32;
  expect_refused(gate_up({.gate = experts(), .up = narrow}), "as gate");
  const ExpertMatrix other_cut = support::upload_experts(*device_, support::random_experts("Q8_0", 4, 16, 64, 1), 3);
  expect_refused(gate_up({.gate = experts(), .up = other_cut}), "as gate");
}

TEST_F(ExpertErrors, RefusesBuffersThatAreTooSmall) {
  const ExpertGateUpShape good{.gate = experts(), .up = experts()};
  expect_refused(expert_gate_up(*device_, good, routing(), small_, memory_, memory_), "activations");
  expect_refused(expert_gate_up(*device_, good, routing(), memory_, small_, memory_), "out");
  expect_refused(gate_up({.gate = experts(), .up = experts(), .gate_bias = small_}), "gate_bias");
  expect_refused(gate_up({.gate = experts(), .up = experts(), .up_bias = small_}), "up_bias");
  expect_refused(down({.down = experts(), .bias = small_}), "bias");
  const ExpertDownShape shape{.down = experts()};
  expect_refused(expert_down(*device_, shape, routing(), small_, memory_, memory_, memory_), "activations");
  expect_refused(expert_down(*device_, shape, routing(), memory_, small_, memory_, memory_), "scratch");
  expect_refused(expert_down(*device_, shape, routing(), memory_, memory_, small_, memory_), "out");
  expect_refused(expert_down(*device_, shape, routing(), memory_, memory_, memory_, small_), "step");
}

}  // namespace
}  // namespace gguf_fuse::kernels
