// SPDX-License-Identifier: MIT
#include "gguf_fuse/kernels/logits.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "attention_support.hpp"
#include "support/reference/reference.hpp"

namespace gguf_fuse::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

class Logits : public testing::TestWithParam<Style> {
 protected:
  std::vector<RowStatistics> statistics_of(const std::vector<float>& logits, std::uint32_t vocabulary) {
    const auto tokens = static_cast<std::uint32_t>(logits.size() / vocabulary);
    const Buffer out = support::zeros(device_, tokens * sizeof(RowStatistics)), step = support::empty_step(device_);
    auto operation =
        support::value_of(row_statistics(device_, vocabulary, support::buffer_of(device_, logits), out, step));
    support::run_operation(device_, operation, step, tokens);
    return support::content_of<RowStatistics>(out);
  }

  /// Of two rows at once, the second one the other way round.
  void expect_top(const std::vector<float>& logits, std::uint32_t k) {
    const auto vocabulary = static_cast<std::uint32_t>(logits.size());
    const Buffer out = support::zeros(device_, 2 * k * sizeof(Candidate)), step = support::empty_step(device_);
    std::vector<float> rows = logits;
    rows.insert(rows.end(), logits.rbegin(), logits.rend());
    auto operation = support::value_of(top_k(device_, vocabulary, k, support::buffer_of(device_, rows), out));
    support::run_operation(device_, operation, step, 2);
    const auto found = support::content_of<Candidate>(out);
    auto expected = top_k_reference(logits, k);
    for (const auto& one : top_k_reference(std::span(rows).last(vocabulary), k)) expected.push_back(one);
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      ASSERT_EQ(found[i].token, expected[i].token) << "rank " << i % k << " of " << k << " in " << vocabulary;
      if (std::isnan(expected[i].logit)) {
        ASSERT_TRUE(std::isnan(found[i].logit));
      } else {
        ASSERT_EQ(found[i].logit, expected[i].logit);
      }
    }
  }

  Device& device_ = *support::shared_device(GetParam());
};

TEST_P(Logits, StatisticsOfRows) {
  for (const std::uint32_t vocabulary : {1U, 15U, 16U, 17U, 100U, 8191U, 8192U, 8193U, 49152U}) {
    const std::vector<float> logits = support::random_floats(std::size_t{vocabulary} * 3, vocabulary, 20);
    const auto found = statistics_of(logits, vocabulary);
    for (std::size_t token = 0; token < 3; ++token) {
      const auto expected = row_statistics_reference(std::span(logits).subspan(token * vocabulary, vocabulary));
      EXPECT_EQ(found[token].argmax, expected.argmax) << vocabulary;
      EXPECT_EQ(found[token].maximum, expected.maximum);
      EXPECT_NEAR(found[token].logsumexp, expected.logsumexp, 4e-6) << vocabulary;
      EXPECT_EQ(found[token].not_finite, 0U);
    }
  }
}

TEST_P(Logits, StatisticsOfEqualAndExtremeLogits) {
  for (const float value : {0.0F, -1e30F, 1e30F, -90.0F}) {
    const std::vector<float> logits(20000, value);
    const auto found = statistics_of(logits, 20000).front();
    EXPECT_EQ(found.argmax, 0);
    EXPECT_EQ(found.maximum, value);
    EXPECT_FLOAT_EQ(found.logsumexp, row_statistics_reference(logits).logsumexp);
  }
  // Ties: the first one, also when a later lane, vector or chunk has the same.
  std::vector<float> logits(20000, -1);
  for (const std::size_t place : {19999U, 16384U, 9000U, 8192U, 4001U, 33U, 18U, 17U, 3U}) {
    logits[place] = 5;
    EXPECT_EQ(statistics_of(logits, 20000).front().argmax, static_cast<std::int32_t>(place));
  }
}

TEST_P(Logits, CountsWhatIsNotFinite) {
  for (const std::uint32_t vocabulary : {17U, 20000U}) {
    std::vector<float> logits = support::random_floats(std::size_t{vocabulary} * 2, 1);
    logits[0] = kNan;
    logits[vocabulary - 1] = -kInfinity;
    logits[vocabulary / 2] = kInfinity;
    logits[vocabulary + 3] = kNan;
    const auto found = statistics_of(logits, vocabulary);
    EXPECT_EQ(found[0].not_finite, 3U);
    EXPECT_EQ(found[1].not_finite, 1U);
  }
  EXPECT_EQ(statistics_of(std::vector<float>(9000, kNan), 9000).front().not_finite, 9000U);
  EXPECT_EQ(statistics_of(std::vector<float>(9000, -kInfinity), 9000).front().not_finite, 9000U);
}

TEST_P(Logits, TopKOfRandomLogits) {
  for (const std::uint32_t vocabulary : {1U, 40U, 63U, 64U, 65U, 300U, 2048U, 32769U, 100000U}) {
    const std::vector<float> logits = support::random_floats(vocabulary, vocabulary, 20);
    for (const std::uint32_t k : {1U, 2U, 9U, 40U, 256U}) {
      if (k <= vocabulary) expect_top(logits, k);
    }
    // All of the vocabulary.
    if (vocabulary <= 256) expect_top(logits, vocabulary);
  }
}

TEST_P(Logits, TopKOfOrderedLogits) {
  std::vector<float> logits(40000);
  for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i);
  expect_top(logits, 100);
  std::reverse(logits.begin(), logits.end());
  expect_top(logits, 100);
}

TEST_P(Logits, TopKTiesGoToTheLowerToken) {
  expect_top(std::vector<float>(70000, 1.5F), 256);
  expect_top(std::vector<float>(200, -kInfinity), 200);
  std::vector<float> few(70000);
  support::Random random(3);
  for (float& value : few) value = static_cast<float>(random.below(5));
  expect_top(few, 256);
  // Zeros of both signs are equal.
  for (float& value : few) value = random.chance(0.5) ? 0.0F : -0.0F;
  expect_top(few, 256);
}

TEST_P(Logits, TopKPutsNanLast) {
  std::vector<float> logits = support::random_floats(300, 5);
  for (const std::size_t place : {0U, 5U, 63U, 64U, 299U}) logits[place] = kNan;
  logits[70] = -kInfinity;
  logits[71] = kInfinity;
  expect_top(logits, 40);
  expect_top(logits, 256);
  std::vector<float> short_row(logits.begin(), logits.begin() + 80);
  expect_top(short_row, 80);
}

TEST_P(Logits, SoftcapBendsRows) {
  for (const std::uint32_t vocabulary : {1U, 16U, 100U, 4096U, 5000U}) {
    for (const float magnitude : {1e-3F, 1.0F, 30.0F, 500.0F}) {
      const std::vector<float> logits = support::random_floats(std::size_t{vocabulary} * 2, 5, magnitude);
      const Buffer buffer = support::buffer_of(device_, logits), step = support::empty_step(device_);
      auto operation = support::value_of(softcap(device_, 30, vocabulary, buffer, step));
      support::run_operation(device_, operation, step, 2);
      const auto found = support::content_of<float>(buffer);
      for (std::size_t i = 0; i < logits.size(); ++i) {
        const double expected = 30 * std::tanh(static_cast<double>(logits[i]) / 30);
        ASSERT_NEAR(found[i], expected, std::abs(expected) * 1e-6) << logits[i];
      }
    }
  }
}

TEST_P(Logits, RefusesWhatDoesNotFit) {
  const Buffer row = support::zeros(device_, 400), step = support::empty_step(device_);
  const auto code = [](const Result<Operation>& result) {
    return result ? "none" : std::string(error_name(result.error().code));
  };
  EXPECT_EQ(code(top_k(device_, 100, 50, row, row)), "none");
  EXPECT_EQ(code(top_k(device_, 100, 51, row, row)), "InvalidArgument");
  EXPECT_EQ(code(top_k(device_, 10, 11, row, row)), "InvalidArgument");
  EXPECT_EQ(code(top_k(device_, 100, 0, row, row)), "InvalidArgument");
  EXPECT_EQ(code(top_k(device_, 101, 1, row, row)), "InvalidArgument");
  EXPECT_EQ(code(softcap(device_, 30, 101, row, step)), "InvalidArgument");
  EXPECT_EQ(code(row_statistics(device_, 101, row, row, step)), "InvalidArgument");
  EXPECT_EQ(code(row_statistics(device_, 100, row, Buffer{}, step)), "InvalidArgument");
}

INSTANTIATE_TEST_SUITE_P(, Logits, testing::Values(Style::Vector, Style::Group), support::style_test_name);

}  // namespace
}  // namespace gguf_fuse::kernels
