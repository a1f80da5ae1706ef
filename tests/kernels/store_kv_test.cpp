// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include "attention_layer.hpp"

namespace gguf_fuse::kernels {
namespace {

/// 1 / 10000^(2i / rotated), the usual table.
std::vector<float> usual_frequencies(std::uint32_t rotated) {
  std::vector<float> frequencies;
  for (std::uint32_t i = 0; i < rotated / 2; ++i) {
    frequencies.push_back(static_cast<float>(std::pow(10000.0, -2.0 * i / rotated)));
  }
  return frequencies;
}

class StoreKv : public testing::TestWithParam<Style> {
 protected:
  struct Stored {
    std::vector<float> q{};
    std::vector<float> k{};  ///< of the tokens stored, [token][kv_columns]
    std::vector<float> v{};
    StoredRows expected{};
  };

  /// Stores random rows of magnitude 3 behind `past` positions and reads everything back.
  Stored store(StoreShape shape, CacheType k, CacheType v, std::uint32_t past, std::uint32_t tokens) {
    const HeadShape heads = shape.heads;
    const std::uint32_t row = heads.q_columns() + 2 * heads.kv_columns();
    const std::vector<float> qkv = support::random_floats(std::size_t{tokens} * row, 11 + past + tokens, 3);
    const std::vector<float> frequencies = usual_frequencies(std::max(shape.rotated, 2U));
    const std::vector<float> q_norm = support::random_floats(heads.size, 1),
                             k_norm = support::random_floats(heads.size, 2);
    const std::uint32_t pages = support::pages_for(past + tokens);
    const std::vector<std::uint32_t> table = support::shuffled_pages(pages);
    Cache cache{.shape = {.k = k, .v = v, .pages = pages, .heads = heads},
                .table = support::buffer_of(device_, table),
                .table_row = pages};
    cache.k = support::zeros(device_, cache.shape.k_bytes());
    cache.v = support::zeros(device_, cache.shape.v_bytes());
    const Buffer step = support::empty_step(device_);
    const StoreBuffers buffers{.qkv = support::buffer_of(device_, qkv),
                               .frequencies = support::buffer_of(device_, frequencies),
                               .q_norm = support::buffer_of(device_, q_norm),
                               .k_norm = support::buffer_of(device_, k_norm),
                               .q = support::zeros(device_, std::uint64_t{tokens} * heads.q_columns() * sizeof(float))};
    auto operation = support::value_of(store_kv(device_, shape, buffers, cache, step));
    support::run_operation(device_, operation, step, tokens, past);
    Stored stored{.q = support::content_of<float>(buffers.q)};
    const auto k_bytes = support::content_of<std::byte>(cache.k), v_bytes = support::content_of<std::byte>(cache.v);
    for (std::uint32_t i = 0; i < tokens * heads.kv_heads; ++i) {
      const std::uint32_t head = i % heads.kv_heads, at = past + i / heads.kv_heads;
      const std::uint32_t position = table[at / kPageTokens] * kPageTokens + at % kPageTokens;
      const auto k_head = read_cached_head(cache.shape, CachePart::K, k_bytes, head, position);
      const auto v_head = read_cached_head(cache.shape, CachePart::V, v_bytes, head, position);
      stored.k.insert(stored.k.end(), k_head.begin(), k_head.end());
      stored.v.insert(stored.v.end(), v_head.begin(), v_head.end());
    }
    stored.expected =
        store_kv_reference(shape, {.qkv = qkv, .frequencies = frequencies, .q_norm = q_norm, .k_norm = k_norm}, past);
    return stored;
  }

  static void expect_near(const Stored& stored, double tolerance) {
    EXPECT_LT((support::relative_error<float, double>(stored.q, stored.expected.q)), 2e-6);
    EXPECT_LT((support::relative_error<float, double>(stored.k, stored.expected.k)), tolerance);
    EXPECT_LT((support::relative_error<float, double>(stored.v, stored.expected.v)), tolerance);
  }

  /// Bit for bit what the reference quantises, in heads that end in half a block or within a vector too.
  static void expect_as_reference(const Stored& stored, CacheType type, const HeadShape& heads) {
    for (std::size_t first = 0; first < stored.k.size(); first += heads.size) {
      for (const auto& [found, exact] :
           {std::pair(&stored.k, &stored.expected.k), std::pair(&stored.v, &stored.expected.v)}) {
        const std::vector<float> head(exact->begin() + static_cast<std::ptrdiff_t>(first),
                                      exact->begin() + static_cast<std::ptrdiff_t>(first + heads.size));
        const auto begin = found->begin() + static_cast<std::ptrdiff_t>(first);
        const std::vector<float> actual(begin, begin + heads.size), expected = cache_reference(type, head);
        if (type != CacheType::IQ4_NL) {
          ASSERT_EQ(actual, expected) << first / heads.size;
          continue;
        }
        // a sum in another order may be rounded to the next scale
        for (std::size_t e = 0; e < expected.size(); ++e) {
          ASSERT_NEAR(actual[e], expected[e], 2e-3F * std::abs(expected[e])) << first / heads.size;
        }
      }
    }
  }

  Device& device_ = *support::shared_device(GetParam());
};

constexpr HeadShape kHeads{.heads = 9, .kv_heads = 3, .size = 64};

TEST_P(StoreKv, EveryRotaryEmbeddingWithAndWithoutNorm) {
  for (const Rope rope : {Rope::None, Rope::Norm, Rope::Neox}) {
    // All of the head, whole vectors of it, less than a vector, no multiple of anything.
    for (const std::uint32_t rotated : {64U, 32U, 8U, 38U, 2U}) {
      for (const bool norm : {false, true}) {
        for (const std::uint32_t past : {0U, 15U, 1000U}) {
          SCOPED_TRACE(testing::Message()
                       << "rope " << int(rope) << " rotated " << rotated << " norm " << norm << " past " << past);
          expect_near(store({.heads = kHeads,
                             .rope = rope,
                             .rotated = rotated,
                             .magnitude = 1.25F,
                             .head_norm = norm ? Norm::Rms : Norm::None,
                             .q_factor = 0.125F},
                            CacheType::F32, CacheType::F32, past, 18),
                      2e-6);
        }
      }
    }
  }
}

TEST_P(StoreKv, PositionsFarOut) {
  for (const Rope rope : {Rope::Norm, Rope::Neox}) {
    expect_near(store({.heads = {.heads = 3, .kv_heads = 1, .size = 64}, .rope = rope, .rotated = 64}, CacheType::F32,
                      CacheType::F32, 99990, 20),
                2e-6);
  }
}

TEST_P(StoreKv, F16RoundsToNearestEven) {
  const HeadShape heads{.heads = 8, .kv_heads = 1, .size = 32};
  const Stored stored = store({.heads = heads}, CacheType::F16, CacheType::F16, 5, 40);
  std::vector<float> k, v;
  for (const double value : stored.expected.k) k.push_back(static_cast<float>(value));
  for (const double value : stored.expected.v) v.push_back(static_cast<float>(value));
  EXPECT_EQ(stored.k, cache_reference(CacheType::F16, k));
  EXPECT_EQ(stored.v, cache_reference(CacheType::F16, v));
}

TEST_P(StoreKv, TypesQuantiseAsTheReference) {
  for (const CacheTypeRow& row : cache_types()) {
    for (const std::uint32_t size : {80U, 24U}) {
      SCOPED_TRACE(testing::Message() << row.name << " heads of " << size);
      const HeadShape heads{.heads = 4, .kv_heads = 4, .size = size};
      const Stored stored = store({.heads = heads}, row.type, row.type, 5, 40);
      expect_as_reference(stored, row.type, heads);
      expect_near(stored, row.bits < 8 ? 0.2 : 1e-2);
    }
  }
}

TEST_P(StoreKv, HeadsThatAreNoMultipleOf16) {
  const HeadShape heads{.heads = 4, .kv_heads = 1, .size = 24};
  expect_near(store({.heads = heads, .rope = Rope::Neox, .rotated = 24, .head_norm = Norm::Rms}, CacheType::F16,
                    CacheType::Q8_0, 7, 20),
              1e-2);
}

/// V alone: what happens to Q and K is as without. Large heads are those of latent attention.
TEST_P(StoreKv, NormsValuesOfEverySize) {
  for (const std::uint32_t size : {64U, 24U, 80U, 576U, 1024U}) {
    for (const bool head_norm : {false, true}) {
      SCOPED_TRACE(testing::Message() << "size " << size << " head norm " << head_norm);
      const StoreShape shape{.heads = {.heads = 4, .kv_heads = 2, .size = size},
                             .rope = Rope::Neox,
                             .rotated = 24,
                             .head_norm = head_norm ? Norm::Rms : Norm::None,
                             .value_norm = true,
                             .epsilon = 0.25F};
      const Stored stored = store(shape, CacheType::F32, CacheType::F32, 14, 5);
      expect_near(stored, 3e-6);
      // Values of magnitude 3 have a mean square near 3; epsilon takes its share of the norm.
      for (std::size_t first = 0; first < stored.v.size(); first += size) {
        double squares = 0;
        for (std::size_t e = first; e < first + size; ++e) squares += static_cast<double>(stored.v[e] * stored.v[e]);
        ASSERT_LT(squares / size, 1 - 0.25 / 9.25);
        ASSERT_GT(squares / size, 0.7);
      }
      expect_near(store(shape, CacheType::F16, CacheType::Q8_0, 14, 5), 1e-2);
    }
  }
}

/// The latent attention of deepseek2: one head of 576 of which 64 are rotated.
TEST_P(StoreKv, OneHeadOf576) {
  for (const Rope rope : {Rope::Norm, Rope::Neox}) {
    const StoreShape shape{.heads = {.heads = 16, .kv_heads = 1, .size = 576}, .rope = rope, .rotated = 64};
    expect_near(store(shape, CacheType::F32, CacheType::F32, 1000, 18), 2e-6);
    expect_near(store(shape, CacheType::F16, CacheType::Q8_0, 7, 3), 1e-2);
  }
}

TEST_P(StoreKv, RefusesWhatDoesNotFit) {
  Cache cache{.shape = {.k = CacheType::F32, .v = CacheType::F32, .pages = 1, .heads = kHeads}, .table_row = 1};
  cache.table = support::zeros(device_, sizeof(std::uint32_t));
  cache.k = support::zeros(device_, cache.shape.k_bytes());
  cache.v = support::zeros(device_, cache.shape.v_bytes());
  const Buffer step = support::empty_step(device_), rows = support::zeros(device_, 15 * 64 * sizeof(float));
  const auto code = [&](const StoreShape& shape, const StoreBuffers& buffers) {
    const auto result = store_kv(device_, shape, buffers, cache, step);
    return result ? "none" : std::string(error_name(result.error().code));
  };
  EXPECT_EQ(code({.heads = kHeads}, {.qkv = rows, .q = rows}), "none");
  EXPECT_EQ(code({.heads = kHeads}, {.qkv = rows}), "InvalidArgument");
  EXPECT_EQ(code({.heads = kHeads, .head_norm = Norm::Rms}, {.qkv = rows, .q = rows}), "InvalidArgument");
  EXPECT_EQ(code({.heads = kHeads, .rope = Rope::Neox, .rotated = 64}, {.qkv = rows, .q = rows}), "InvalidArgument");
  EXPECT_EQ(code({.heads = kHeads, .rope = Rope::Neox, .rotated = 66}, {.qkv = rows, .frequencies = rows, .q = rows}),
            "InvalidArgument");
  EXPECT_EQ(code({.heads = kHeads, .rope = Rope::Neox, .rotated = 63}, {.qkv = rows, .frequencies = rows, .q = rows}),
            "InvalidArgument");
  EXPECT_EQ(code({.heads = {.heads = 9, .kv_heads = 3, .size = 32}}, {.qkv = rows, .q = rows}), "InvalidArgument");
}

INSTANTIATE_TEST_SUITE_P(, StoreKv, testing::Values(Style::Vector, Style::Group), support::style_test_name);

}  // namespace
}  // namespace gguf_fuse::kernels
