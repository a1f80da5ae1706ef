// SPDX-License-Identifier: MIT
// What some architectures do to heads before they are stored, and tokens of several sequences.
#include <gtest/gtest.h>

#include "attention_layer.hpp"

namespace gguf_fuse::kernels {
namespace {

constexpr HeadShape kHeads{.heads = 9, .kv_heads = 3, .size = 64};

class StoreKvHeads : public testing::TestWithParam<Style> {
 protected:
  struct Input {
    std::vector<float> qkv{}, frequencies{}, q_norm{}, k_norm{};

    [[nodiscard]] StoreInput rows(const HeadShape& heads, std::uint32_t first, std::uint32_t count) const {
      const std::size_t row = heads.q_columns() + 2 * std::size_t{heads.kv_columns()};
      return {.qkv = std::span(qkv).subspan(first * row, count * row),
              .frequencies = frequencies,
              .q_norm = q_norm,
              .k_norm = k_norm};
    }
  };

  static Input input_for(const StoreShape& shape, std::uint32_t tokens) {
    const HeadShape& heads = shape.heads;
    const std::size_t row = heads.q_columns() + 2 * std::size_t{heads.kv_columns()};
    Input input{.qkv = support::random_floats(tokens * row, 5 + tokens, 3),
                .q_norm = support::random_floats(heads.q_columns(), 1),
                .k_norm = support::random_floats(heads.kv_columns(), 2)};
    // what a mean would not be without
    for (float& value : input.qkv) value += 0.75F;
    for (std::uint32_t i = 0; i < heads.size / 2; ++i) {
      input.frequencies.push_back(static_cast<float>(std::pow(10000.0, -2.0 * i / heads.size)));
    }
    return input;
  }

  /// Stores random rows as tokens of `runs` and compares everything.
  void expect_as_reference(const StoreShape& shape, std::span<const StepRun> runs, double tolerance = 2e-6) {
    const HeadShape heads = shape.heads;
    constexpr std::uint32_t kPages = 6, kRow = 3;
    const StepTable step(runs, {});
    const std::uint32_t tokens = step.size().tokens;
    const Input input = input_for(shape, tokens);
    const std::vector<std::uint32_t> table = support::shuffled_pages(kPages);
    Cache cache{.shape = {.k = CacheType::F32, .v = CacheType::F32, .pages = kPages, .heads = heads},
                .table = support::buffer_of(device_, table),
                .table_row = kRow};
    cache.k = support::zeros(device_, cache.shape.k_bytes());
    cache.v = support::zeros(device_, cache.shape.v_bytes());
    const StoreBuffers buffers{.qkv = support::buffer_of(device_, input.qkv),
                               .frequencies = support::buffer_of(device_, input.frequencies),
                               .q_norm = support::buffer_of(device_, input.q_norm),
                               .k_norm = support::buffer_of(device_, input.k_norm),
                               .q = support::zeros(device_, std::uint64_t{tokens} * heads.q_columns() * sizeof(float))};
    const Buffer step_buffer = support::empty_step(device_);
    auto operation = support::value_of(store_kv(device_, shape, buffers, cache, step_buffer));
    support::run_operation(device_, operation, step_buffer, step);
    const auto q = support::content_of<float>(buffers.q);
    const auto k_bytes = support::content_of<std::byte>(cache.k), v_bytes = support::content_of<std::byte>(cache.v);
    for (const StepRun& run : runs) {
      const StoredRows expected = store_kv_reference(shape, input.rows(heads, run.first, run.tokens), run.position);
      std::vector<float> k, v;
      for (std::uint32_t i = 0; i < run.tokens * heads.kv_heads; ++i) {
        const std::uint32_t position = run.position + i / heads.kv_heads, head = i % heads.kv_heads;
        const std::uint32_t page = table[run.sequence * kRow + position / kPageTokens];
        const std::uint32_t at = page * kPageTokens + position % kPageTokens;
        support::append(k, read_cached_head(cache.shape, CachePart::K, k_bytes, head, at));
        support::append(v, read_cached_head(cache.shape, CachePart::V, v_bytes, head, at));
      }
      const std::span<const float> own =
          std::span(q).subspan(std::size_t{run.first} * heads.q_columns(), expected.q.size());
      EXPECT_LT((support::relative_error<float, double>(own, expected.q)), tolerance);
      EXPECT_LT((support::relative_error<float, double>(k, expected.k)), tolerance);
      EXPECT_LT((support::relative_error<float, double>(v, expected.v)), tolerance);
    }
  }

  void expect_one_run(const StoreShape& shape, double tolerance = 2e-6) {
    expect_as_reference(shape, std::array{StepRun{.tokens = 18, .position = 55}}, tolerance);
  }

  Device& device_ = *support::shared_device(GetParam());
};

TEST_P(StoreKvHeads, TokensOfSeveralSequences) {
  const StoreShape shape{.heads = kHeads, .rope = Rope::Neox, .rotated = 64, .head_norm = Norm::Rms};
  expect_as_reference(shape, std::array{StepRun{.first = 0, .tokens = 70, .position = 0, .sequence = 1},
                                        StepRun{.first = 70, .tokens = 3, .position = 126, .sequence = 0}});
  expect_as_reference(shape, std::array{StepRun{.first = 0, .tokens = 5, .position = 62, .sequence = 0},
                                        StepRun{.first = 5, .tokens = 1, .position = 191, .sequence = 1}});
}

TEST_P(StoreKvHeads, LayerNorm) {
  for (const std::uint32_t size : {64U, 24U, 80U, 576U}) {
    SCOPED_TRACE(size);
    expect_one_run({.heads = {.heads = 4, .kv_heads = 2, .size = size},
                    .rope = Rope::Neox,
                    .rotated = 24,
                    .head_norm = Norm::Layer,
                    .value_norm = size == 80,
                    .epsilon = 1e-5F},
                   4e-6);
  }
}

TEST_P(StoreKvHeads, WeightsOfEachHead) {
  for (const Norm norm : {Norm::Rms, Norm::Layer}) {
    expect_one_run({.heads = kHeads,
                    .rope = Rope::Norm,
                    .rotated = 64,
                    .head_norm = norm,
                    .weights_per_head = true,
                    .q_factor = 0.125F},
                   4e-6);
  }
}

/// Its epsilon is large enough to be seen, and the magnitude of what has turned is not that of what has not.
TEST_P(StoreKvHeads, NormOfWhatHasTurned) {
  for (const std::uint32_t size : {64U, 24U, 80U, 576U}) {
    for (const Norm norm : {Norm::None, Norm::Rms}) {
      SCOPED_TRACE(testing::Message() << size << " norm " << int(norm));
      expect_one_run({.heads = {.heads = 4, .kv_heads = 2, .size = size},
                      .rope = Rope::Neox,
                      .rotated = 16,
                      .magnitude = 1.5F,
                      .head_norm = norm,
                      .turned_norm = true,
                      .epsilon = 0.25F});
    }
  }
}

TEST_P(StoreKvHeads, WeightsOfWhatHasTurned) {
  for (const std::uint32_t size : {64U, 24U, 80U, 576U}) {
    for (const bool per_head : {false, true}) {
      SCOPED_TRACE(testing::Message() << size << " per head " << per_head);
      expect_one_run({.heads = {.heads = 4, .kv_heads = 2, .size = size},
                      .rope = per_head ? Rope::Norm : Rope::Neox,
                      .rotated = 16,
                      .magnitude = 1.5F,
                      .weights_per_head = per_head,
                      .turned_norm = true,
                      .turned_weights = true,
                      .epsilon = 0.25F});
    }
  }
}

TEST_P(StoreKvHeads, QueriesGrowWithTheirPosition) {
  const StoreShape shape{.heads = kHeads, .q_factor = 0.5F};
  // at position 63 of 64 an offset of 1 begins the next stretch
  for (const auto& [length, offset] :
       {std::pair{64U, 0U}, std::pair{64U, 1U}, std::pair{8U, 3U}, std::pair{8192U, 1U}}) {
    SCOPED_TRACE(testing::Message() << length << " + " << offset);
    StoreShape scaled = shape;
    scaled.query_scale = {.length = length, .offset = offset, .factor = 0.1F};
    expect_one_run(scaled);
  }
}

/// The formula by hand: at position 191 of stretches of 64 two of them are past.
TEST_P(StoreKvHeads, QueryScaleByHand) {
  const StepTable step(1, 191);
  const std::vector<float> ones(15 * 64, 1.0F);
  Cache cache{.shape = {.k = CacheType::F32, .v = CacheType::F32, .pages = 3, .heads = kHeads}, .table_row = 3};
  cache.table = support::buffer_of(device_, std::vector<std::uint32_t>{2, 0, 1});
  cache.k = support::zeros(device_, cache.shape.k_bytes());
  cache.v = support::zeros(device_, cache.shape.v_bytes());
  const Buffer q = support::zeros(device_, 576 * sizeof(float)), step_buffer = support::empty_step(device_);
  auto operation = support::value_of(store_kv(device_, {.heads = kHeads, .query_scale = {.length = 64, .factor = 0.5F}},
                                              {.qkv = support::buffer_of(device_, ones), .q = q}, cache, step_buffer));
  support::run_operation(device_, operation, step_buffer, step);
  for (const float value : support::content_of<float>(q)) ASSERT_NEAR(value, 1.549306, 1e-6);
}

TEST_P(StoreKvHeads, RefusesWeightsThatAreTooFew) {
  Cache cache{.shape = {.k = CacheType::F32, .v = CacheType::F32, .pages = 1, .heads = kHeads}, .table_row = 1};
  cache.table = support::zeros(device_, sizeof(std::uint32_t));
  cache.k = support::zeros(device_, cache.shape.k_bytes());
  cache.v = support::zeros(device_, cache.shape.v_bytes());
  const Buffer rows = support::zeros(device_, 15 * 64 * sizeof(float)), step = support::empty_step(device_);
  const Buffer of_q = support::zeros(device_, 9 * 64 * sizeof(float)),
               of_k = support::zeros(device_, 3 * 64 * sizeof(float));
  const auto code = [&](bool per_head, const Buffer& q_norm, const Buffer& k_norm, const Cache& to, const Buffer& at) {
    const auto result = store_kv(device_, {.heads = kHeads, .head_norm = Norm::Layer, .weights_per_head = per_head},
                                 {.qkv = rows, .q_norm = q_norm, .k_norm = k_norm, .q = rows}, to, at);
    return result ? "none" : std::string(error_name(result.error().code));
  };
  EXPECT_EQ(code(true, of_q, of_k, cache, step), "none");
  EXPECT_EQ(code(false, of_k, of_k, cache, step), "none");
  EXPECT_EQ(code(true, of_k, of_k, cache, step), "InvalidArgument");
  EXPECT_EQ(code(true, of_q, support::zeros(device_, 64 * sizeof(float)), cache, step), "InvalidArgument");
  const auto turned = [&](const StoreShape& shape, const Buffer& k_norm) {
    const auto result =
        store_kv(device_, shape, {.qkv = rows, .q_norm = of_k, .k_norm = k_norm, .q = rows}, cache, step);
    return result ? "none" : std::string(error_name(result.error().code));
  };
  EXPECT_EQ(turned({.heads = kHeads, .turned_norm = true, .turned_weights = true}, of_k), "none");
  EXPECT_EQ(turned({.heads = kHeads, .turned_norm = true, .turned_weights = true}, {}), "InvalidArgument");
  EXPECT_EQ(turned({.heads = kHeads, .turned_weights = true}, of_k), "InvalidArgument");
  EXPECT_EQ(turned({.heads = kHeads, .head_norm = Norm::Rms, .turned_norm = true, .turned_weights = true}, of_k),
            "InvalidArgument");
  EXPECT_EQ(code(true, of_q, of_k, cache, support::zeros(device_, StepTable::kHeaderBytes)), "InvalidArgument");
  cache.table = Buffer();
  EXPECT_EQ(code(true, of_q, of_k, cache, step), "InvalidArgument");
}

INSTANTIATE_TEST_SUITE_P(, StoreKvHeads, testing::Values(Style::Vector, Style::Group), support::style_test_name);

}  // namespace
}  // namespace gguf_fuse::kernels
