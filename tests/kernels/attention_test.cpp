// SPDX-License-Identifier: MIT
#include "gguf_fuse/kernels/attention.hpp"

#include <gtest/gtest.h>

#include "attention_layer.hpp"

namespace gguf_fuse::kernels {
namespace {

using support::append;
using support::error;
using support::Layer;

class Attention : public testing::TestWithParam<Style> {
 protected:
  // The group style runs without assembly, so that its programs serve AttentionSinks too.
  Device& device_ = GetParam() == Style::Group ? *support::shared_device(Style::Group, DotProduct::None)
                                               : *support::shared_device(Style::Vector);

  static CacheShape shape_of(std::uint32_t heads, std::uint32_t kv_heads, std::uint32_t size, CacheType k, CacheType v,
                             std::uint32_t capacity = 1100) {
    return {.k = k,
            .v = v,
            .pages = support::pages_for(capacity),
            .heads = {.heads = heads, .kv_heads = kv_heads, .size = size}};
  }

  /// Every combination of lengths, windows and caps against the reference of the same cache. Heads of many elements
  /// want small ones, as scores of hundreds have no more digits to compare.
  static void expect_as_reference(Device& device, const CacheShape& shape,
                                  std::span<const std::pair<std::uint32_t, std::uint32_t>> lengths,
                                  std::initializer_list<std::uint32_t> windows, std::initializer_list<float> caps,
                                  float scale = 2) {
    for (const auto& [past, tokens] : lengths) {
      Layer layer(device, shape);
      if (past > 0) layer.store(past, scale);
      layer.store(tokens, scale);
      for (const std::uint32_t window : windows) {
        for (const float cap : caps) {
          const std::string trace = "past " + std::to_string(past) + " tokens " + std::to_string(tokens) + " window " +
                                    std::to_string(window) + " softcap " + std::to_string(cap);
          SCOPED_TRACE(trace);
          const AttentionShape attention{.softcap = cap, .window = window, .max_tokens = tokens};
          EXPECT_LT(error(layer.attend(attention), layer.expected(attention)), 1e-5);
        }
      }
    }
  }

  static constexpr std::pair<std::uint32_t, std::uint32_t> kLengths[] = {
      {0, 1},   {0, 2},  {0, 15},  {0, 16}, {0, 17}, {0, 40},  {1, 1},    {1, 3},    {15, 1},
      {15, 17}, {16, 1}, {16, 16}, {31, 1}, {31, 2}, {100, 1}, {100, 40}, {1000, 1}, {1000, 5}};
  static constexpr std::pair<std::uint32_t, std::uint32_t> kFewLengths[] = {{0, 1},   {0, 17},   {15, 2},
                                                                            {100, 1}, {100, 40}, {1000, 1}};
};

TEST_P(Attention, F32CacheThreeHeadsShareOne) {
  expect_as_reference(device_, shape_of(9, 3, 64, CacheType::F32, CacheType::F32), kLengths,
                      {0, 1, 4, 16, 17, 300, 5000}, {0, 5});
}

TEST_P(Attention, F16CacheEightHeadsShareOne) {
  expect_as_reference(device_, shape_of(8, 1, 32, CacheType::F16, CacheType::F16), kLengths, {0, 17}, {0});
}

/// Half-precision numbers are converted by instructions where inline assembly works, and by OpenCL elsewhere.
TEST(AttentionPlain, F16CacheWithoutAssembly) {
  struct Plain : Attention {
    static void run() {
      expect_as_reference(*support::shared_device(Style::Vector, DotProduct::None),
                          shape_of(8, 1, 32, CacheType::F16, CacheType::F16), kFewLengths, {0, 17}, {0});
    }
  };
  Plain::run();
}

TEST_P(Attention, Q8CacheOfHeadsThatEndInHalfABlock) {
  expect_as_reference(device_, shape_of(4, 4, 80, CacheType::Q8_0, CacheType::Q8_0), kFewLengths, {0, 17}, {0});
}

TEST_P(Attention, EveryTypeOfCache) {
  for (const CacheTypeRow& row : cache_types()) {
    SCOPED_TRACE(row.name);
    // heads as StoreKv.TypesQuantiseAsTheReference has them, so that each program is built once
    expect_as_reference(device_, shape_of(4, 4, 80, row.type, row.type), kFewLengths, {0, 17}, {0});
  }
  // the type with all planes
  expect_as_reference(device_, shape_of(4, 4, 24, CacheType::Q5_1, CacheType::Q5_1), kFewLengths, {0, 17}, {0});
}

TEST_P(Attention, HeadsThatAreNoMultipleOf16) {
  expect_as_reference(device_, shape_of(4, 1, 24, CacheType::F16, CacheType::Q8_0), kFewLengths, {0, 4}, {0});
}

TEST_P(Attention, MoreHeadsShareOneThanATaskTakes) {
  expect_as_reference(device_, shape_of(17, 1, 16, CacheType::Q8_0, CacheType::F16), kFewLengths, {0}, {0});
}

TEST_P(Attention, LargeHeads) {
  expect_as_reference(device_, shape_of(10, 2, 512, CacheType::F16, CacheType::F16), kFewLengths, {0, 16}, {3});
}

/// As the latent attention of deepseek2 wants them.
TEST_P(Attention, HeadsOf576ThatShareOne) {
  expect_as_reference(device_, shape_of(16, 1, 576, CacheType::F16, CacheType::F16), kFewLengths, {0, 17}, {0}, 0.75F);
}

TEST_P(Attention, HeadsOf1024) {
  static constexpr std::pair<std::uint32_t, std::uint32_t> kTwoLengths[] = {{600, 1}, {15, 18}};
  expect_as_reference(device_, shape_of(3, 1, 1024, CacheType::Q8_0, CacheType::F16), kTwoLengths, {0}, {0}, 0.75F);
}

TEST_P(Attention, CacheTypesLoseAsMuchAsTheyMay) {
  const std::pair<CacheShape, double> kCaches[] = {
      {shape_of(9, 3, 64, CacheType::F32, CacheType::F32), 1e-5},
      {shape_of(8, 1, 32, CacheType::F16, CacheType::F16), 3e-3},
      {shape_of(4, 4, 80, CacheType::BF16, CacheType::BF16), 2e-2},
      {shape_of(4, 4, 80, CacheType::Q8_0, CacheType::Q8_0), 2e-2},
      {shape_of(4, 4, 80, CacheType::Q5_1, CacheType::Q5_1), 0.2},
      {shape_of(4, 4, 80, CacheType::Q5_0, CacheType::Q5_0), 0.2},
      {shape_of(4, 4, 80, CacheType::Q4_1, CacheType::Q4_1), 0.4},
      {shape_of(4, 4, 80, CacheType::Q4_0, CacheType::Q4_0), 0.4},
      {shape_of(4, 4, 80, CacheType::IQ4_NL, CacheType::IQ4_NL), 0.4},
  };
  for (const auto& [cache, tolerance] : kCaches) {
    Layer layer(device_, cache);
    layer.store(100, 1);
    layer.store(40, 1);
    const AttentionShape shape{.max_tokens = 40};
    EXPECT_LT(error(layer.attend(shape), layer.expected_exact(shape)), tolerance);
  }
}

TEST_P(Attention, PiecesAreAsOnePrompt) {
  const CacheShape shape = shape_of(9, 3, 64, CacheType::F32, CacheType::F32);
  Layer pieces(device_, shape);
  std::vector<float> found;
  std::vector<float> rows;
  for (const std::uint32_t tokens : {16U, 17U, 1U, 30U}) {
    pieces.store(tokens);
    append(rows, support::content_of<float>(pieces.q()));
    append(found, pieces.attend({.max_tokens = tokens}));
  }
  const Buffer q = support::buffer_of(device_, rows), out = support::zeros(device_, q.bytes());
  auto operation = support::value_of(attention(device_, {.max_tokens = 64}, pieces.cache(), q, out, pieces.step()));
  support::run_operation(device_, operation, pieces.step(), 64, 0);
  const std::vector<float> whole = support::content_of<float>(out);
  EXPECT_LT(error(found, std::vector<double>(whole.begin(), whole.end())), 2e-6);
}

/// Scores of thousands: exp() of them would overflow, and all weight lies on a few positions.
TEST_P(Attention, LargeScores) {
  Layer layer(device_, shape_of(9, 3, 64, CacheType::F32, CacheType::F32));
  layer.store(100, 60);
  layer.store(17, 60);
  const AttentionShape shape{.max_tokens = 17};
  EXPECT_LT(error(layer.attend(shape), layer.expected(shape)), 1e-3);
}

TEST_P(Attention, ANanInVIsNotHidden) {
  Layer layer(device_, shape_of(9, 3, 64, CacheType::F32, CacheType::F32));
  layer.store(40, std::numeric_limits<float>::quiet_NaN());
  layer.store(3);
  for (const float value : layer.attend({.max_tokens = 3})) ASSERT_TRUE(std::isnan(value));
}

TEST_P(Attention, RefusesWhatDoesNotFit) {
  const CacheShape shape = shape_of(9, 3, 64, CacheType::F32, CacheType::F32);
  Layer layer(device_, shape);
  layer.store(2);
  const auto code = [&](const AttentionShape& attention_shape, const Cache& cache, const Buffer& out) {
    const auto result = attention(device_, attention_shape, cache, layer.q(), out, layer.step());
    return result ? "none" : std::string(error_name(result.error().code));
  };
  const Buffer out = support::zeros(device_, layer.q().bytes());
  EXPECT_EQ(code({.max_tokens = 2}, layer.cache(), out), "none");
  EXPECT_EQ(code({.max_tokens = 3}, layer.cache(), out), "InvalidArgument");
  EXPECT_EQ(code({.max_tokens = 2}, layer.cache(), Buffer{}), "InvalidArgument");
  const Buffer sinks = support::zeros(device_, 9 * sizeof(float)), few = support::zeros(device_, 8 * sizeof(float));
  EXPECT_EQ(code({.sinks = sinks, .max_tokens = 2}, layer.cache(), out), "none");
  EXPECT_EQ(code({.sinks = few, .max_tokens = 2}, layer.cache(), out), "InvalidArgument");
  Cache wrong = layer.cache();
  wrong.shape.pages *= 2;
  EXPECT_EQ(code({.max_tokens = 2}, wrong, out), "InvalidArgument");
  wrong = layer.cache();
  wrong.shape.heads.kv_heads = 2;
  EXPECT_EQ(code({.max_tokens = 2}, wrong, out), "InvalidArgument");
}

TEST(AttentionWork, CountsPositionsWithinTheWindow) {
  const CacheShape cache{.k = CacheType::F16,
                         .v = CacheType::F16,
                         .pages = support::pages_for(160),
                         .heads = {.heads = 4, .kv_heads = 2, .size = 32}};
  // One token sees 11 positions, two of each product of 128 columns.
  const Work all = AttentionShape{}.work(cache, 1, 10);
  EXPECT_DOUBLE_EQ(all.flops, 4.0 * 128 * 11);
  EXPECT_DOUBLE_EQ(all.bytes, 2.0 * 64 * 2 * 11 + 2 * 4 * 128);
  EXPECT_DOUBLE_EQ(AttentionShape{.window = 4}.work(cache, 2, 10).flops, 4.0 * 128 * 8);
  EXPECT_DOUBLE_EQ((AttentionShape{.window = 4}.work(cache, 2, 0).flops), 4.0 * 128 * 3);
  // positions 7 and 8 of chunks of 4 see four and one
  EXPECT_DOUBLE_EQ((AttentionShape{.window = 4, .chunked = true}.work(cache, 2, 7).flops), 4.0 * 128 * 5);
}

INSTANTIATE_TEST_SUITE_P(, Attention, testing::Values(Style::Vector, Style::Group), support::style_test_name);

}  // namespace
}  // namespace gguf_fuse::kernels
