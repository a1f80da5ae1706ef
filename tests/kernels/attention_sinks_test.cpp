// SPDX-License-Identifier: MIT
// Attention sinks, and sequences that are split into parts: of those only one may count a sink.
#include <gtest/gtest.h>

#include "../../kernels/src/attention_program.hpp"
#include "attention_layer.hpp"

namespace gguf_fuse::kernels {
namespace {

using support::Layer;

constexpr float kNone = -std::numeric_limits<float>::infinity();
/// Scores of these tests lie between -30 and 30: far below, among, at the edge, far above.
const std::vector<float> kSinks{kNone, -1e30F, -60, -2, 0, 2, 25, 60, 1e4F};
constexpr CacheShape kCache{.k = CacheType::F32,
                            .v = CacheType::F32,
                            .pages = support::pages_for(1100),
                            .heads = {.heads = 9, .kv_heads = 3, .size = 64}};

class AttentionSinks : public testing::TestWithParam<Style> {
 protected:
  Device& device_ = GetParam() == Style::Group ? *support::shared_device(Style::Group, DotProduct::None)
                                               : *support::shared_device(Style::Vector);

  [[nodiscard]] Buffer buffer(const std::vector<float>& sinks) const { return support::buffer_of(device_, sinks); }

  /// Each head to its own magnitude: those with a large sink are tiny.
  static void expect_heads(std::span<const float> found, std::span<const double> expected, std::size_t size,
                           double tolerance) {
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t first = 0; first < found.size(); first += size) {
      const std::span<const double> head = expected.subspan(first, size);
      if (std::all_of(head.begin(), head.end(), [](double value) { return std::abs(value) < 1e-37; })) {
        for (const float value : found.subspan(first, size)) ASSERT_LT(std::abs(value), 1e-37F) << first / size;
      } else {
        EXPECT_LT((support::relative_error<float, double>(found.subspan(first, size), head)), tolerance)
            << first / size;
      }
    }
  }

  void expect_as_reference(const CacheShape& cache, const std::vector<float>& sinks,
                           std::initializer_list<std::uint32_t> windows, std::initializer_list<float> caps,
                           float scale = 2) {
    constexpr std::pair<std::uint32_t, std::uint32_t> kLengths[] = {{0, 1},   {0, 17},   {15, 2},  {16, 1},
                                                                    {100, 1}, {100, 40}, {1000, 1}};
    for (const auto& [past, tokens] : kLengths) {
      Layer layer(device_, cache);
      if (past > 0) layer.store(past, scale);
      layer.store(tokens, scale);
      for (const std::uint32_t window : windows) {
        for (const float cap : caps) {
          SCOPED_TRACE(testing::Message()
                       << "past " << past << " tokens " << tokens << " window " << window << " softcap " << cap);
          const AttentionShape shape{.softcap = cap, .window = window, .sinks = buffer(sinks), .max_tokens = tokens};
          expect_heads(layer.attend(shape), layer.expected(shape, sinks), cache.heads.size, 2e-5);
        }
      }
    }
  }
};

TEST_P(AttentionSinks, AreOneMoreScore) { expect_as_reference(kCache, kSinks, {0, 1, 17, 300}, {0, 5}); }

TEST_P(AttentionSinks, OfMoreHeadsThanATaskTakes) {
  std::vector<float> sinks(34);
  for (std::size_t i = 0; i < sinks.size(); ++i) sinks[i] = static_cast<float>(i) - 17;
  expect_as_reference({.k = CacheType::F16,
                       .v = CacheType::Q8_0,
                       .pages = support::pages_for(1001),
                       .heads = {.heads = 34, .kv_heads = 2, .size = 24}},
                      sinks, {0, 4}, {0});
}

TEST_P(AttentionSinks, OfLargeHeads) {
  expect_as_reference({.k = CacheType::F16,
                       .v = CacheType::F16,
                       .pages = support::pages_for(1001),
                       .heads = {.heads = 9, .kv_heads = 1, .size = 576}},
                      kSinks, {0}, {0}, 0.75F);
}

/// n scores of 0 and a sink s: each weight is 1 / (n + exp(s)) instead of 1 / n.
TEST_P(AttentionSinks, ShareTheWeightOfEqualScores) {
  const std::vector<float> sinks{0, 1, 2, 3, 4, 5, -1, -2, -3};
  for (const auto& [past, tokens, window] :
       {std::array{0U, 1U, 0U}, {99U, 1U, 0U}, {999U, 1U, 0U}, {999U, 1U, 400U}, {50U, 20U, 0U}, {50U, 20U, 16U}}) {
    Layer layer(device_, kCache);
    if (past > 0) layer.store(past);
    layer.store(tokens);
    layer.forget_queries();
    const std::vector<float> without = layer.attend({.window = window, .max_tokens = tokens});
    const std::vector<float> with = layer.attend({.window = window, .sinks = buffer(sinks), .max_tokens = tokens});
    for (std::size_t i = 0; i < with.size(); ++i) {
      const std::uint32_t seen = past + static_cast<std::uint32_t>(i / 576) + 1;
      const double n = window == 0 ? seen : std::min(seen, window);
      const double factor = n / (n + std::exp(static_cast<double>(sinks[i / 64 % 9])));
      ASSERT_NEAR(with[i], without[i] * factor, 2e-6) << "past " << past << " tokens " << tokens << " at " << i;
    }
  }
}

TEST_P(AttentionSinks, NoneIsAsWithout) {
  for (const std::uint32_t tokens : {1U, 17U}) {
    Layer layer(device_, kCache);
    layer.store(600);
    layer.store(tokens);
    const std::vector<float> none(9, kNone);
    EXPECT_EQ(layer.attend({.sinks = buffer(none), .max_tokens = tokens}), layer.attend({.max_tokens = tokens}));
  }
}

/// More parts than tiles: most of them see nothing, and none of that may show. Every part would count a sink if it
/// could.
TEST_P(AttentionSinks, PartsWithoutPositions) {
  const std::uint32_t kParts = 64;
  for (const std::uint32_t past : {0U, 16U, 50U}) {
    Layer layer(device_, kCache);
    if (past > 0) layer.store(past);
    layer.store(1);
    const std::vector<double> expected = layer.expected({.max_tokens = 1}, kSinks);
    const bool vector = GetParam() == Style::Vector;
    const auto program = support::value_of(detail::attention_program(device_, layer.cache().shape));
    const std::size_t lanes = vector ? 1 : 64;
    const Buffer out = support::zeros(device_, layer.q().bytes());
    const Buffer partial = support::zeros(device_, (16 + kParts * 9 * 66) * sizeof(float));
    auto first = support::value_of(Launch::make(program, "attention_single",
                                                {{"q", layer.q()},
                                                 {"k", layer.cache().k},
                                                 {"v", layer.cache().v},
                                                 {"out", out},
                                                 {"pages", layer.cache().table},
                                                 {"pages_row", layer.cache().table_row},
                                                 {"step_info", layer.step()},
                                                 {"heads", 9U},
                                                 {"kv_heads", 3U},
                                                 {"softcap", 0.0F},
                                                 {"window", 0U},
                                                 {"chunked", 0U},
                                                 {"sinks", buffer(kSinks)},
                                                 {"has_sinks", 1U},
                                                 {"partial", partial}},
                                                Grid{.global = {3 * lanes, kParts, 1}, .local = {lanes, 1, 1}}));
    auto second = support::value_of(Launch::make(
        program, "attention_combine", {{"partial", partial}, {"out", out}, {"heads", 9U}, {"step_info", layer.step()}},
        Grid{.global = {9 * lanes, 1, 1}, .local = {lanes, 1, 1}}));
    ASSERT_TRUE(first.enqueue().has_value());
    ASSERT_TRUE(second.enqueue().has_value());
    SCOPED_TRACE(past);
    expect_heads(support::content_of<float>(out), expected, 64, 2e-5);
  }
}

INSTANTIATE_TEST_SUITE_P(, AttentionSinks, testing::Values(Style::Vector, Style::Group), support::style_test_name);

}  // namespace
}  // namespace gguf_fuse::kernels
