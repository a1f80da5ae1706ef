// SPDX-License-Identifier: MIT
// The choice of experts against the scalar reference, and the grouping of tokens by what it promises.
#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <set>

#include "matmul_fixture.hpp"
#include "support/reference/experts_reference.hpp"

namespace gguf_fuse::kernels {
namespace {

using support::value_of;
using testing::HasSubstr;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr std::uint32_t kNobody = ~0U;

struct RouteCase {
  RouterShape shape{};
  std::uint32_t tokens = 1;
  std::uint32_t tile = kBatchTile;
  std::vector<float> logits{};
  std::vector<float> selection_bias{};
  std::vector<float> expert_factor{};
};

std::vector<float> random_floats(std::size_t count, float most, std::uint64_t seed) {
  support::Random random(seed);
  std::vector<float> values(count);
  for (float& value : values) value = most * random.uniform();
  return values;
}

RouteCase random_case(const RouterShape& shape, std::uint32_t tokens, std::uint32_t tile = kBatchTile) {
  return {.shape = shape,
          .tokens = tokens,
          .tile = tile,
          .logits = random_floats(std::size_t{tokens} * shape.experts, 4, shape.experts + tokens)};
}

class Route : public testing::TestWithParam<Style> {
 protected:
  /// What the device says, read back.
  struct Routed {
    RoutingShape shape{};
    std::vector<std::uint32_t> experts{};
    std::vector<float> weights{};
    std::vector<std::uint32_t> slots{};
    std::vector<std::uint32_t> tokens{};
    std::vector<float> slot_weights{};
    std::vector<std::uint32_t> tile_experts{};
    std::vector<std::uint32_t> step{};
  };

  /// Buffers have room for more tokens than come, and hold what no kernel may take for its own.
  Routed run(const RouteCase& wanted) {
    const std::uint32_t most = wanted.tile == 1 ? 1 : wanted.tokens + 3;
    const Routing routing = value_of(allocate_routing(
        *device_,
        {.experts = wanted.shape.experts, .used = wanted.shape.used, .tile = wanted.tile, .max_tokens = most}));
    for (const Buffer* buffer : {&routing.experts, &routing.weights, &routing.slots, &routing.tokens,
                                 &routing.slot_weights, &routing.tile_experts, &routing.step}) {
      value_of(buffer->fill(std::byte{0x77}));
    }
    std::vector<float> logits = wanted.logits;
    logits.resize(std::size_t{most} * wanted.shape.experts, 1);
    RouterBuffers buffers{.logits = support::buffer_of(*device_, logits)};
    if (!wanted.selection_bias.empty()) buffers.selection_bias = support::buffer_of(*device_, wanted.selection_bias);
    if (!wanted.expert_factor.empty()) buffers.expert_factor = support::buffer_of(*device_, wanted.expert_factor);
    Operation operation =
        value_of(route(*device_, wanted.shape, buffers, routing, support::step_buffer(*device_, wanted.tokens)));
    value_of(operation.enqueue({.tokens = wanted.tokens}));
    return {.shape = routing.shape,
            .experts = support::content_of<std::uint32_t>(routing.experts),
            .weights = support::content_of<float>(routing.weights),
            .slots = support::content_of<std::uint32_t>(routing.slots),
            .tokens = support::content_of<std::uint32_t>(routing.tokens),
            .slot_weights = support::content_of<float>(routing.slot_weights),
            .tile_experts = support::content_of<std::uint32_t>(routing.tile_experts),
            .step = support::content_of<std::uint32_t>(routing.step)};
  }

  /// Every choice has a slot of its own in a tile of its expert, an expert's tokens ascend, and nothing else is there.
  static void expect_grouped(const RouteCase& wanted, const Routed& got) {
    const std::uint32_t used = wanted.shape.used;
    std::vector<std::uint32_t> tokens_of_experts(wanted.shape.experts);
    std::vector<std::uint32_t> slot_tokens(got.tokens.size(), kNobody);
    std::vector<float> slot_weights(got.tokens.size(), 0);
    std::vector<std::uint32_t> last(wanted.shape.experts);
    for (std::uint32_t choice = 0; choice < wanted.tokens * used; ++choice) {
      const std::uint32_t slot = got.slots[choice];
      const std::uint32_t expert = got.experts[choice];
      ASSERT_LT(slot, got.shape.slots(wanted.tokens));
      ASSERT_LT(expert, wanted.shape.experts);
      EXPECT_EQ(slot_tokens[slot], kNobody) << "slot " << slot << " is taken twice";
      slot_tokens[slot] = choice / used;
      slot_weights[slot] = got.weights[choice];
      EXPECT_EQ(got.tile_experts[slot / wanted.tile], expert);
      EXPECT_TRUE(tokens_of_experts[expert]++ == 0 || slot > last[expert]);
      last[expert] = slot;
    }
    std::uint32_t tiles = 0;
    for (const std::uint32_t count : tokens_of_experts) tiles += (count + wanted.tile - 1) / wanted.tile;
    std::vector<std::uint32_t> header(StepTable::kHeaderBytes / sizeof(std::uint32_t), 0);
    header[0] = tiles * wanted.tile;
    EXPECT_EQ(got.step, header);
    for (std::uint32_t slot = 0; slot < tiles * wanted.tile; ++slot) {
      EXPECT_EQ(got.tokens[slot], slot_tokens[slot]);
      EXPECT_TRUE(same(got.slot_weights[slot], slot_weights[slot])) << slot;
    }
    for (std::size_t tile = tiles; tile < got.tile_experts.size(); ++tile) EXPECT_EQ(got.tile_experts[tile], kNobody);
  }

  static bool same(float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); }

  void expect(const RouteCase& wanted) {
    const Routed got = run(wanted);
    const std::uint32_t used = wanted.shape.used;
    for (std::uint32_t token = 0; token < wanted.tokens; ++token) {
      const RoutedToken want = route_reference(
          wanted.shape,
          std::span(wanted.logits).subspan(std::size_t{token} * wanted.shape.experts, wanted.shape.experts),
          wanted.selection_bias, wanted.expert_factor);
      for (std::uint32_t i = 0; i < used; ++i) {
        EXPECT_EQ(got.experts[token * used + i], want.experts[i]) << "choice " << i << " of token " << token;
        EXPECT_NEAR(double{got.weights[token * used + i]}, want.weights[i], 2e-6 * std::fabs(want.weights[i]) + 1e-30)
            << "choice " << i << " of token " << token;
      }
    }
    expect_grouped(wanted, got);
  }

  std::shared_ptr<Device> device_ = support::shared_device(GetParam(), DotProduct::None);
};

TEST_P(Route, ChoosesTheMostLikely) {
  for (const auto& [experts, used] : {std::pair{2U, 1U}, {8U, 2U}, {31U, 4U}, {64U, 6U}, {128U, 8U}, {128U, 64U}}) {
    for (const std::uint32_t tokens : {1U, 2U, 17U, 100U}) {
      expect(random_case({.experts = experts, .used = used}, tokens));
    }
  }
}

TEST_P(Route, TakesAllOfAsManyAsItKnows) {
  expect(random_case({.experts = kMostExperts, .used = kMostUsed}, 3));
  expect(random_case({.experts = 5, .used = 5, .normalise = true}, 33));
  expect(random_case({.experts = 1, .used = 1}, 20));
}

TEST_P(Route, GatesInEveryWay) {
  for (const Gating gating : {Gating::Softmax, Gating::Sigmoid, Gating::SelectedSoftmax, Gating::SelectedSigmoid}) {
    for (const bool normalise : {false, true}) {
      RouteCase wanted =
          random_case({.experts = 40, .used = 5, .gating = gating, .normalise = normalise, .scale = 2.5F}, 20);
      expect(wanted);
      wanted.selection_bias = random_floats(40, 1, 3);
      expect(wanted);
      wanted.expert_factor = random_floats(40, 2, 4);
      expect(wanted);
    }
  }
}

TEST_P(Route, OneTokenHasItsChoicesForSlots) {
  for (const auto& [experts, used] : {std::pair{2U, 2U}, {8U, 2U}, {128U, 8U}}) {
    const RouteCase wanted = random_case({.experts = experts, .used = used, .normalise = true}, 1, 1);
    expect(wanted);
    EXPECT_THAT(run(wanted).tokens, testing::Each(0U));
  }
}

TEST_P(Route, OnlyTheBestGroupsTakePart) {
  for (const Gating gating : {Gating::Sigmoid, Gating::Softmax}) {
    RouteCase wanted =
        random_case({.experts = 64, .used = 8, .gating = gating, .groups = 8, .groups_used = 4, .normalise = true}, 50);
    expect(wanted);
    wanted.selection_bias = random_floats(64, 0.5F, 8);
    expect(wanted);
  }
  expect(random_case({.experts = 6, .used = 3, .groups = 6, .groups_used = 3}, 20));
  expect(random_case({.experts = 300, .used = 8, .groups = 75, .groups_used = 2}, 20));
}

/// Group 1 has the largest expert, but groups 0 and 2 have the larger two.
TEST_P(Route, GroupsAreComparedByTheirTwoLargest) {
  const RouteCase wanted{
      .shape = {.experts = 9, .used = 3, .gating = Gating::SelectedSoftmax, .groups = 3, .groups_used = 2},
      .logits = {3, 3, -9, 4, 1, 1, 3, 2.5, 2}};
  expect(wanted);
  std::vector<std::uint32_t> chosen = run(wanted).experts;
  chosen.resize(3);
  EXPECT_THAT(chosen, testing::ElementsAre(0, 1, 6));
}

TEST_P(Route, OfEqualOnesTheLowerComesFirst) {
  for (const std::uint32_t tile : {1U, kBatchTile}) {
    expect({.shape = {.experts = 100, .used = 20}, .tile = tile, .logits = std::vector<float>(100, 0.5F)});
    std::vector<float> logits(100, -1);
    for (const std::size_t at : {99U, 50U, 34U, 18U}) logits[at] = 2;
    logits[3] = -0.0F;
    logits[70] = 0;
    expect({.shape = {.experts = 100, .used = 8, .gating = Gating::SelectedSoftmax}, .tile = tile, .logits = logits});
  }
  expect({.shape = {.experts = 16, .used = 4, .gating = Gating::Sigmoid, .groups = 4, .groups_used = 2},
          .logits = std::vector<float>(16, 1)});
}

TEST_P(Route, ExtremeLogitsAreNoTrouble) {
  std::vector<float> logits(24, -1e30F);
  logits[20] = 3e38F;
  logits[21] = -3e38F;
  expect({.shape = {.experts = 24, .used = 3}, .logits = logits});
  logits.assign(24, -kInfinity);
  logits[7] = 5;
  expect({.shape = {.experts = 24, .used = 3, .gating = Gating::Sigmoid}, .logits = logits});
  // All weights are (nearly) 0: their sum counts as 2^-14.
  expect({.shape = {.experts = 24, .used = 2, .gating = Gating::Sigmoid, .normalise = true},
          .logits = std::vector<float>(24, -20)});
}

/// The sigmoids of all of them are 1.
TEST_P(Route, LogitsChooseWhereSigmoidsAreEqual) {
  for (const std::uint32_t tile : {1U, kBatchTile}) {
    const RouteCase wanted{.shape = {.experts = 6, .used = 2, .gating = Gating::SelectedSigmoid},
                           .tile = tile,
                           .logits = {20, 30, 25, 40, 22, 39}};
    expect(wanted);
    std::vector<std::uint32_t> chosen = run(wanted).experts;
    chosen.resize(2);
    EXPECT_THAT(chosen, testing::ElementsAre(3, 5));
  }
}

TEST_P(Route, AllTokensToOneExpert) {
  std::vector<float> logits;
  for (int token = 0; token < 100; ++token) {
    for (int expert = 0; expert < 8; ++expert) logits.push_back(expert == 5 ? 3 : 0);
  }
  expect({.shape = {.experts = 8, .used = 1}, .tokens = 100, .logits = logits});
}

/// Whatever the logits are, indices are those of experts, and no expert is chosen twice.
TEST_P(Route, NothingIsOutOfRangeWithNan) {
  std::vector<float> some = random_floats(std::size_t{20} * 24, 4, 1);
  for (std::size_t i = 0; i < some.size(); i += 5) some[i] = kNan;
  std::vector<float> most(std::size_t{20} * 24, kNan);
  for (std::size_t i = 0; i < most.size(); i += 23) most[i] = i % 2 == 0 ? kInfinity : -kInfinity;
  for (const Gating gating : {Gating::Softmax, Gating::Sigmoid, Gating::SelectedSoftmax}) {
    for (const std::uint32_t groups : {1U, 4U}) {
      for (const std::vector<float>& logits : {some, most, std::vector<float>(std::size_t{20} * 24, kNan)}) {
        const RouteCase wanted{
            .shape = {.experts = 24, .used = 6, .gating = gating, .groups = groups, .groups_used = (groups + 1) / 2},
            .tokens = 20,
            .logits = logits};
        const Routed got = run(wanted);
        for (std::uint32_t token = 0; token < wanted.tokens; ++token) {
          const auto first = got.experts.begin() + token * 6;
          EXPECT_EQ(std::set<std::uint32_t>(first, first + 6).size(), 6U);
        }
        expect_grouped(wanted, got);
      }
    }
  }
}

TEST_P(Route, NanIsChosenLast) {
  std::vector<float> logits(8, kNan);
  logits[6] = -3;
  const Routed got = run({.shape = {.experts = 8, .used = 2, .gating = Gating::Sigmoid}, .logits = logits});
  EXPECT_EQ(got.experts[0], 6U);
  EXPECT_EQ(got.experts[1], 0U);
  EXPECT_TRUE(std::isnan(got.weights[1]));
}

TEST_P(Route, GathersTheTokensOfSlots) {
  for (const Activations kind : {Activations::Q8, Activations::F32}) {
    const RouteCase wanted = random_case({.experts = 7, .used = 3}, 37);
    const RoutingShape shape{.experts = 7, .used = 3, .max_tokens = 40};
    const Routing routing = value_of(allocate_routing(*device_, shape));
    const Buffer step = support::step_buffer(*device_, 37);
    std::vector<float> logits = wanted.logits;
    logits.resize(std::size_t{40} * 7);
    value_of(value_of(route(*device_, wanted.shape, {.logits = support::buffer_of(*device_, logits)}, routing, step))
                 .enqueue({.tokens = 37}));
    const support::TestActivations from = support::random_activations(kind, 80, kBatchTile, 40, 3);
    PreparedShape slots = from.shape;
    slots.max_tokens = shape.slots(40);
    const Buffer out = value_of(device_->allocate(slots.bytes()));
    value_of(out.fill(std::byte{0x77}));
    value_of(value_of(gather_tokens(*device_, from.shape, routing, support::buffer_of(*device_, from.bytes), out, step))
                 .enqueue({.tokens = 37}));
    const auto got = support::content_of<std::byte>(out);
    const auto tokens = support::content_of<std::uint32_t>(routing.tokens);
    const std::uint32_t taken = support::content_of<std::uint32_t>(routing.step)[0];
    // Words of a record: Q8 has 8 a token, then 4 rows of one a token; F32 32 rows of one a token.
    const std::uint32_t record = kind == Activations::Q8 ? 192 : 512;
    const auto word = [&](const std::vector<std::byte>& bytes, std::uint32_t token, std::uint32_t group,
                          std::uint32_t i) {
      const std::uint32_t values = kind == Activations::Q8 ? 8 : 0;
      const std::uint32_t at = i < values ? token % 16 * 8 + i : values * 16 + (i - values) * 16 + token % 16;
      std::uint32_t result = 0;
      std::memcpy(&result, bytes.data() + 4 * (std::size_t{token / 16 * 3 + group} * record + at), 4);
      return result;
    };
    for (std::uint32_t slot = 0; slot < taken; ++slot) {
      for (std::uint32_t i = 0; i < 3 * record / 16; ++i) {
        const std::uint32_t group = i / (record / 16);
        const std::uint32_t want =
            tokens[slot] == kNobody ? 0 : word(from.bytes, tokens[slot], group, i % (record / 16));
        ASSERT_EQ(word(got, slot, group, i % (record / 16)), want) << "slot " << slot << " word " << i;
      }
    }
  }
}

std::string style_of(const testing::TestParamInfo<Style>& info) { return std::string(style_name(info.param)); }

INSTANTIATE_TEST_SUITE_P(Styles, Route, testing::Values(Style::Vector, Style::Group), style_of);

TEST(RoutingShape, HasRoomForTheWorstCase) {
  const RoutingShape shape{.experts = 8, .used = 2, .max_tokens = 512};
  EXPECT_EQ(shape.slots(1), 2U * 16);   // two experts
  EXPECT_EQ(shape.slots(4), 8U * 16);   // each choice another expert
  EXPECT_EQ(shape.slots(16), 8U * 16);  // at most one tile an expert
  EXPECT_EQ(shape.slots(17), 9U * 16);  // one of 17 tokens, and seven that share the rest
  EXPECT_EQ(shape.slots(512), 1024U + 7 * 16);
  EXPECT_EQ((RoutingShape{.experts = 8, .used = 2, .tile = 1}.slots(1)), 2U);
}

}  // namespace
}  // namespace gguf_fuse::kernels
