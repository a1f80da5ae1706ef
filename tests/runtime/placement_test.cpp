// SPDX-License-Identifier: MIT
// Where groups of tensors go: what holds for all models and numbers of layers, and each rule by itself. No device is
// asked.
#include "gguf_fuse/runtime/placement.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "support/random.hpp"
#include "support/value_of.hpp"

namespace gguf_fuse::runtime {
namespace {

using support::value_of;
using testing::ElementsAre;

struct Shape {
  std::size_t layers = 4;
  bool tied = false;
  bool first_layer = false;  ///< norms of embeddings, as bert has them
};

std::vector<TensorGroup> groups_of(const Shape& shape, support::Random* random = nullptr) {
  const auto bytes = [random] { return random == nullptr ? 100 : 1 + random->below(1000); };
  std::vector<TensorGroup> groups(GroupIndex::output(shape.layers) + 1);
  if (!shape.tied) {
    groups[GroupIndex::kInput] = {.role = TensorRole::Input, .bytes = bytes(), .tensors = {"token_embd.weight"}};
  }
  groups[GroupIndex::kFirstLayer].role = TensorRole::FirstLayer;
  if (shape.first_layer) groups[GroupIndex::kFirstLayer].bytes = bytes();
  for (std::size_t i = 0; i < shape.layers; ++i) {
    const std::string layer = "blk." + std::to_string(i);
    groups[GroupIndex::mixer(i)] = {.role = TensorRole::Mixer,
                                    .layer = static_cast<std::uint32_t>(i),
                                    .bytes = bytes(),
                                    .tensors = {layer + ".attn_q.weight"}};
    groups[GroupIndex::feed_forward(i)] = {.role = TensorRole::FeedForward,
                                           .layer = static_cast<std::uint32_t>(i),
                                           .bytes = bytes(),
                                           .tensors = {layer + ".ffn_up.weight"}};
  }
  groups.back() = {
      .role = TensorRole::Output, .bytes = bytes(), .tensors = {shape.tied ? "token_embd.weight" : "output.weight"}};
  return groups;
}

PlacementOptions offload(std::uint32_t layers, std::size_t rest = 1, OutputPlacement output = OutputPlacement::First) {
  return {.offload = PlacementOptions::Offload{.layers = layers, .rest = rest}, .output = output};
}

std::vector<std::size_t> devices_of(const PlacementPlan& plan) {
  std::vector<std::size_t> devices;
  for (const auto& place : plan.places) devices.push_back(place.device);
  return devices;
}

/// Devices of input, first layer, each layer's two halves, and output.
std::vector<std::size_t> placed(const Shape& shape, std::size_t devices, const PlacementOptions& options) {
  return devices_of(value_of(plan_placement(groups_of(shape), devices, options)));
}

TEST(Placements, EverythingIsOnTheOnlyDevice) {
  const auto plan = value_of(plan_placement(groups_of({}), 1, {}));
  EXPECT_THAT(devices_of(plan), testing::Each(0U));
  EXPECT_THAT(plan.bytes, ElementsAre(1000U));
  ASSERT_EQ(plan.splits.size(), 1U);
  EXPECT_EQ(plan.splits.front().groups.size(), 10U);  // there is nothing between lookups and layers
}

TEST(Placements, SharesAreOfNeighbours) {
  EXPECT_THAT(placed({}, 2, {}), ElementsAre(0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1));
  EXPECT_THAT(placed({}, 2, {.split = {1, 3}}), ElementsAre(0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1));
  EXPECT_THAT(placed({}, 3, {.split = {1, 1, 0}}), ElementsAre(0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1));
}

TEST(Placements, TheOutputIsOffloadedFirst) {
  EXPECT_THAT(placed({}, 2, offload(0)), ElementsAre(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1));
  EXPECT_THAT(placed({}, 2, offload(1)), ElementsAre(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0));
  EXPECT_THAT(placed({}, 2, offload(2)), ElementsAre(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0));
  EXPECT_THAT(placed({}, 2, offload(5)), testing::Each(0U));
  EXPECT_THAT(placed({}, 2, offload(99)), testing::Each(0U));
}

TEST(Placements, OrLast) {
  EXPECT_THAT(placed({}, 2, offload(1, 1, OutputPlacement::Last)), ElementsAre(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1));
  EXPECT_THAT(placed({}, 2, offload(4, 1, OutputPlacement::Last)), ElementsAre(1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1));
  EXPECT_THAT(placed({}, 2, offload(5, 1, OutputPlacement::Last)), testing::Each(0U));
}

TEST(Placements, SeveralDevicesShareWhatIsOffloaded) {
  EXPECT_THAT(placed({}, 3, offload(3, 2)), ElementsAre(2, 2, 2, 2, 2, 2, 0, 0, 1, 1, 1));
  EXPECT_THAT(placed({}, 3, offload(1, 2)), ElementsAre(2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1));
  PlacementOptions without_a_share = offload(3, 1);
  without_a_share.split = {1, 0, 0};  // the last one is there for overrides
  EXPECT_THAT(placed({}, 3, without_a_share), ElementsAre(1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0));
}

TEST(Placements, LookupsInTheHeadAreWhereTheHeadIs) {
  const auto plan = value_of(plan_placement(groups_of({.tied = true}), 2, offload(1)));
  EXPECT_THAT(devices_of(plan), ElementsAre(0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0));
  EXPECT_EQ(plan.places[GroupIndex::kInput].rule, PlacementRule::WithHead);
  EXPECT_EQ(plan.splits.size(), 3U);
  EXPECT_THAT(plan.bytes, ElementsAre(100U, 800U));  // the matrix is there once
  EXPECT_EQ(placed({.tied = true}, 2, {}).front(), 1U);
  // an override of the matrix moves both
  const PlacementOptions moved{.overrides = {{.pattern = "token_embd", .device = 0}}};
  const auto devices = placed({.tied = true}, 2, moved);
  EXPECT_EQ(devices.front(), 0U);
  EXPECT_EQ(devices.back(), 0U);
}

TEST(Placements, NormsOfEmbeddingsAreNextToTheFirstLayer) {
  for (std::uint32_t layers = 0; layers <= 5; ++layers) {
    const auto plan = value_of(plan_placement(groups_of({.first_layer = true}), 2, offload(layers)));
    EXPECT_EQ(plan.places[GroupIndex::kFirstLayer].device, plan.places[GroupIndex::mixer(0)].device) << layers;
  }
  // One split on the device after the lookups, norms included.
  const auto plan = value_of(
      plan_placement(groups_of({.first_layer = true}), 2,
                     {.offload = PlacementOptions::Offload{.layers = 4, .rest = 1}, .output = OutputPlacement::Last}));
  ASSERT_EQ(plan.splits.size(), 3U);
  EXPECT_THAT(plan.splits[0].groups, ElementsAre(GroupIndex::kInput));
  EXPECT_THAT(plan.splits[1].groups, testing::SizeIs(9));
  EXPECT_EQ(plan.splits[1].groups.front(), GroupIndex::kFirstLayer);
  // also where an override moves that layer
  const PlacementOptions moved{.overrides = {{.pattern = R"(blk\.0\.attn)", .device = 1}}};
  EXPECT_THAT(placed({.first_layer = true}, 2, moved), ElementsAre(0, 1, 1, 0, 0, 0, 1, 1, 1, 1, 1));
}

TEST(Placements, TheFirstOverrideThatFitsCounts) {
  PlacementOptions options{.overrides = {{.pattern = "ffn", .device = 1},
                                         {.pattern = "nothing", .device = 1},
                                         {.pattern = R"(blk\.[01]\.)", .device = 0},
                                         {.pattern = ".*", .device = 1}}};
  const auto plan = value_of(plan_placement(groups_of({}), 2, options));
  EXPECT_THAT(devices_of(plan), ElementsAre(1, 0, 0, 1, 0, 1, 1, 1, 1, 1, 1));
  EXPECT_THAT(plan.idle_overrides, ElementsAre(1U));
  EXPECT_EQ(plan.places[GroupIndex::feed_forward(0)].override, 0U);
  EXPECT_EQ(plan.places[GroupIndex::mixer(0)].override, 2U);
  EXPECT_EQ(plan.places[GroupIndex::mixer(0)].rule, PlacementRule::Override);
}

TEST(Placements, WhatLooksAheadIsComputedTwice) {
  std::vector<TensorGroup> groups = groups_of({.layers = 1});
  groups[GroupIndex::feed_forward(0)].ahead = true;
  EXPECT_EQ(value_of(plan_placement(groups, 2, {.split = {1, 0}})).splits.size(), 1U);
  const PlacementOptions apart{.split = {1, 0}, .overrides = {{.pattern = "ffn", .device = 1}}};
  EXPECT_EQ(value_of(plan_placement(groups, 2, apart)).splits.size(), 5U);
}

TEST(Placements, WhatCannotBeIsSaid) {
  const struct {
    std::size_t devices;
    PlacementOptions options;
  } rows[] = {{0, {}},
              {2, offload(3, 2)},
              {1, offload(3, 0)},  // nowhere to offload to
              {1, {.offload = PlacementOptions::Offload{.layers = 4}}},
              {2, {.overrides = {{.pattern = "ffn", .device = 2}}}},
              {2, {.overrides = {{.pattern = "(", .device = 1}}}}};
  for (const auto& row : rows) {
    const auto plan = plan_placement(groups_of({}), row.devices, row.options);
    ASSERT_FALSE(plan);
    EXPECT_EQ(plan.error().code, ErrorCode::InvalidArgument) << plan.error().message();
  }
  EXPECT_THAT(plan_placement(groups_of({}), 1, {.offload = PlacementOptions::Offload{.layers = 4}}).error().message(),
              testing::HasSubstr("pocl-opencl-icd"));
  EXPECT_TRUE(plan_placement(groups_of({}), 1, {.offload = PlacementOptions::Offload{.layers = 5}}));
  EXPECT_FALSE(plan_placement({}, 1, {}));
}

/// Of all numbers of layers: each group once, neighbours together, more on the device with every layer.
TEST(Placements, OffloadingIsMonotonicAndContiguous) {
  const std::uint64_t seed = support::changing_seed();
  SCOPED_TRACE("GGUF_FUSE_TEST_SEED=" + std::to_string(seed));
  support::Random random(seed);
  for (int model = 0; model < 200; ++model) {
    const Shape shape{.layers = 1 + random.below(48), .tied = random.chance(0.5), .first_layer = random.chance(0.3)};
    const auto groups = groups_of(shape, &random);
    std::uint64_t whole = 0, before = 0;
    for (const TensorGroup& group : groups) whole += group.bytes;
    const auto output = random.chance(0.5) ? OutputPlacement::First : OutputPlacement::Last;
    for (std::uint32_t layers = 0; layers <= shape.layers + 2; ++layers) {
      const auto options = offload(layers, 1, output);
      const auto plan = value_of(plan_placement(groups, 2, options));
      EXPECT_EQ(devices_of(plan), devices_of(value_of(plan_placement(groups, 2, options))));
      EXPECT_EQ(plan.bytes[0] + plan.bytes[1], whole);
      EXPECT_GE(plan.bytes[0], before);
      before = plan.bytes[0];
      std::vector<std::size_t> computed;
      for (const auto& split : plan.splits) computed.insert(computed.end(), split.groups.begin(), split.groups.end());
      EXPECT_EQ(std::set(computed.begin(), computed.end()).size(), computed.size());
      EXPECT_EQ(computed.size(), groups.size() - (shape.first_layer ? 0 : 1));
      EXPECT_LE(plan.splits.size(), 3U);  // lookups, the rest, what is offloaded
    }
    EXPECT_EQ(before, whole);
  }
}

TEST(Placements, AThousandDevices) {
  const auto plan = value_of(plan_placement(groups_of({.layers = 10}), 1000, {}));
  EXPECT_EQ(plan.bytes.size(), 1000U);
  EXPECT_LE(plan.splits.size(), 11U);
}

}  // namespace
}  // namespace gguf_fuse::runtime
