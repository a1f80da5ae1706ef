// SPDX-License-Identifier: MIT
#include "gguf_fuse/kernels/attention.hpp"

#include <gtest/gtest.h>

#include "attention_support.hpp"
#include "gguf_fuse/kernels/reference.hpp"

namespace gguf_fuse {
namespace {

/// Adds all of `from` to the end of `to`.
void append(std::vector<float>& to, std::span<const float> from) { to.insert(to.end(), from.begin(), from.end()); }

/// A layer whose Q, K and V come as they are (no rotary embedding): what was stored is known, and what the cache makes
/// of it. The cache starts full of NaN, so that nothing beyond the last position may matter.
class Layer {
 public:
  Layer(Device& device, CacheShape shape) : device_(device), cache_{.shape = shape, .k = {}, .v = {}} {
    cache_.k = support::value_of(device.allocate(shape.k_bytes()));
    cache_.v = support::value_of(device.allocate(shape.v_bytes()));
    for (const Buffer& buffer : {cache_.k, cache_.v}) {
      support::value_of(buffer.fill(std::byte{0xff}).map([] { return 0; }));
    }
    step_ = support::zeros(device, kStepBytes);
  }

  /// Puts tokens behind those that are there. `scale` is the magnitude of Q, K and V.
  void store(std::uint32_t tokens, float scale = 2) {
    const HeadShape heads = cache_.shape.heads;
    const std::size_t q = heads.q_columns(), kv = heads.kv_columns(), row = q + 2 * kv;
    const std::vector<float> qkv = support::random_floats(tokens * row, 7 + stored(), scale);
    q_ = support::zeros(device_, tokens * q * sizeof(float));
    past_ = stored();
    auto operation =
        support::value_of(store_kv(device_, StoreShape{.heads = heads},
                                   StoreBuffers{.qkv = support::buffer_of(device_, qkv), .q = q_}, cache_, step_));
    support::run_operation(device_, operation, step_, tokens, past_);
    q_rows_.clear();
    for (std::size_t token = 0; token < tokens; ++token) {
      const std::span<const float> from = std::span(qkv).subspan(token * row, row);
      append(q_rows_, from.first(q));
      for (std::size_t head = 0; head < heads.kv_heads; ++head) {
        append(k_exact_, from.subspan(q + head * heads.size, heads.size));
        append(v_exact_, from.subspan(q + kv + head * heads.size, heads.size));
        append(k_, cache_reference(cache_.shape.k, from.subspan(q + head * heads.size, heads.size)));
        append(v_, cache_reference(cache_.shape.v, from.subspan(q + kv + head * heads.size, heads.size)));
      }
    }
  }

  /// Attention of the tokens of the last store().
  std::vector<float> attend(const AttentionShape& shape) {
    const Buffer out = support::zeros(device_, q_.bytes());
    auto operation = support::value_of(attention(device_, shape, cache_, q_, out, step_));
    support::run_operation(device_, operation, step_, stored() - past_, past_);
    return support::content_of<float>(out);
  }

  /// The same as the reference has it, with what the cache gives back, or with what was put into it.
  std::vector<double> expected(const AttentionShape& shape) {
    return attention_reference(shape, cache_.shape.heads, q_rows_, k_, v_);
  }
  std::vector<double> expected_exact(const AttentionShape& shape) {
    return attention_reference(shape, cache_.shape.heads, q_rows_, k_exact_, v_exact_);
  }

  [[nodiscard]] std::uint32_t stored() const {
    return static_cast<std::uint32_t>(k_.size() / cache_.shape.heads.kv_columns());
  }
  [[nodiscard]] const Cache& cache() const { return cache_; }
  [[nodiscard]] const Buffer& q() const { return q_; }
  [[nodiscard]] const Buffer& step() const { return step_; }

 private:
  Device& device_;
  Cache cache_;
  Buffer step_{}, q_{};
  std::uint32_t past_ = 0;
  std::vector<float> q_rows_{}, k_{}, v_{}, k_exact_{}, v_exact_{};
};

double error(std::span<const float> found, const std::vector<double>& expected) {
  return support::relative_error<float, double>(found, expected);
}

class Attention : public testing::TestWithParam<Style> {
 protected:
  // The group style runs without assembly, so that its programs serve PartsWithoutPositions too.
  Device& device_ = GetParam() == Style::Group ? *support::shared_device(Style::Group, DotProduct::None)
                                               : *support::shared_device(Style::Vector);

  static CacheShape shape_of(std::uint32_t heads, std::uint32_t kv_heads, std::uint32_t size, CacheType k, CacheType v,
                             std::uint32_t capacity = 1100) {
    return {.k = k, .v = v, .capacity = capacity, .heads = {.heads = heads, .kv_heads = kv_heads, .size = size}};
  }

  /// Every combination of lengths, windows and caps against the reference of the same cache.
  static void expect_as_reference(Device& device, const CacheShape& shape,
                                  std::span<const std::pair<std::uint32_t, std::uint32_t>> lengths,
                                  std::initializer_list<std::uint32_t> windows, std::initializer_list<float> caps) {
    for (const auto& [past, tokens] : lengths) {
      Layer layer(device, shape);
      if (past > 0) layer.store(past);
      layer.store(tokens);
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

TEST_P(Attention, HeadsThatAreNoMultipleOf16) {
  expect_as_reference(device_, shape_of(4, 1, 24, CacheType::F16, CacheType::Q8_0), kFewLengths, {0, 4}, {0});
}

TEST_P(Attention, MoreHeadsShareOneThanATaskTakes) {
  expect_as_reference(device_, shape_of(17, 1, 16, CacheType::Q8_0, CacheType::F16), kFewLengths, {0}, {0});
}

TEST_P(Attention, LargeHeads) {
  expect_as_reference(device_, shape_of(10, 2, 512, CacheType::F16, CacheType::F16), kFewLengths, {0, 16}, {3});
}

TEST_P(Attention, CacheTypesLoseAsMuchAsTheyMay) {
  const std::pair<CacheShape, double> kCaches[] = {
      {shape_of(9, 3, 64, CacheType::F32, CacheType::F32), 1e-5},
      {shape_of(8, 1, 32, CacheType::F16, CacheType::F16), 3e-3},
      {shape_of(4, 4, 80, CacheType::Q8_0, CacheType::Q8_0), 2e-2},
  };
  for (const auto& [cache, tolerance] : kCaches) {
    Layer layer(device_, cache);
    layer.store(100, 1);
    layer.store(40, 1);
    const AttentionShape shape{.max_tokens = 40};
    EXPECT_LT(error(layer.attend(shape), layer.expected_exact(shape)), tolerance);
  }
}

TEST_P(Attention, OneTokenAloneIsAsInABatch) {
  for (const std::uint32_t past : {0U, 16U, 600U, 1000U, 1090U}) {
    Layer layer(device_, shape_of(9, 3, 64, CacheType::F32, CacheType::F32));
    if (past > 0) layer.store(past);
    layer.store(1);
    const std::vector<float> batch = layer.attend({.max_tokens = 1});
    const std::vector<double> expected(batch.begin(), batch.end());
    // The batch kernel with a token of its own: the buffers hold two, one is there.
    const Buffer q = support::zeros(device_, 2 * layer.q().bytes()),
                 out = support::zeros(device_, 2 * layer.q().bytes());
    const std::vector<float> rows = support::content_of<float>(layer.q());
    support::value_of(q.write(std::as_bytes(std::span(rows))).map([] { return 0; }));
    auto operation = support::value_of(attention(device_, {.max_tokens = 2}, layer.cache(), q, out, layer.step()));
    support::run_operation(device_, operation, layer.step(), 1, past);
    EXPECT_LT(error(std::span<const float>(support::content_of<float>(out)).first(batch.size()), expected), 1e-6)
        << past;
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

/// More parts than tiles: most of them see nothing, and none of that may show.
TEST_P(Attention, PartsWithoutPositions) {
  const CacheShape shape = shape_of(9, 3, 64, CacheType::F32, CacheType::F32);
  const std::uint32_t kParts = 64;
  for (const std::uint32_t past : {0U, 16U, 50U}) {
    Layer layer(device_, shape);
    if (past > 0) layer.store(past);
    layer.store(1);
    const std::vector<double> expected = layer.expected({.max_tokens = 1});
    const bool vector = GetParam() == Style::Vector;
    auto program = support::value_of(device_.program({.file = "attention.cl",
                                                      .defines = {{vector ? "STYLE_VECTOR" : "STYLE_GROUP", ""},
                                                                  {"DOT_NONE", ""},
                                                                  {"HEAD_SIZE", "64"},
                                                                  {"GROUP_ROWS", "3"},
                                                                  {"CACHE_K", "0"},
                                                                  {"CACHE_V", "0"}}}));
    const std::size_t lanes = vector ? 1 : 64;
    const Buffer out = support::zeros(device_, layer.q().bytes());
    const Buffer partial = support::zeros(device_, (16 + kParts * 9 * 66) * sizeof(float));
    auto first = support::value_of(Launch::make(program, "attention_single",
                                                {{"q", layer.q()},
                                                 {"k", layer.cache().k},
                                                 {"v", layer.cache().v},
                                                 {"out", out},
                                                 {"step_info", layer.step()},
                                                 {"heads", 9U},
                                                 {"kv_heads", 3U},
                                                 {"cache_tiles", (shape.capacity + 15) / 16},
                                                 {"softcap", 0.0F},
                                                 {"window", 0U},
                                                 {"partial", partial}},
                                                Grid{.global = {3 * lanes, kParts, 1}, .local = {lanes, 1, 1}}));
    auto second = support::value_of(Launch::make(program, "attention_combine",
                                                 {{"partial", partial}, {"out", out}, {"heads", 9U}},
                                                 Grid{.global = {9 * lanes, 1, 1}, .local = {lanes, 1, 1}}));
    ASSERT_TRUE(first.enqueue().has_value());
    ASSERT_TRUE(second.enqueue().has_value());
    EXPECT_LT(error(support::content_of<float>(out), expected), 1e-5) << past;
  }
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
  Cache wrong = layer.cache();
  wrong.shape.capacity *= 2;
  EXPECT_EQ(code({.max_tokens = 2}, wrong, out), "InvalidArgument");
  wrong = layer.cache();
  wrong.shape.heads.kv_heads = 2;
  EXPECT_EQ(code({.max_tokens = 2}, wrong, out), "InvalidArgument");
}

TEST(AttentionWork, CountsPositionsWithinTheWindow) {
  const CacheShape cache{
      .k = CacheType::F16, .v = CacheType::F16, .capacity = 160, .heads = {.heads = 4, .kv_heads = 2, .size = 32}};
  // One token sees 11 positions, two of each product of 128 columns.
  const Work all = AttentionShape{}.work(cache, 1, 10);
  EXPECT_DOUBLE_EQ(all.flops, 4.0 * 128 * 11);
  EXPECT_DOUBLE_EQ(all.bytes, 2.0 * 64 * 2 * 11 + 2 * 4 * 128);
  EXPECT_DOUBLE_EQ(AttentionShape{.window = 4}.work(cache, 2, 10).flops, 4.0 * 128 * 8);
  EXPECT_DOUBLE_EQ((AttentionShape{.window = 4}.work(cache, 2, 0).flops), 4.0 * 128 * 3);
}

INSTANTIATE_TEST_SUITE_P(, Attention, testing::Values(Style::Vector, Style::Group), support::style_test_name);

}  // namespace
}  // namespace gguf_fuse
