// SPDX-License-Identifier: MIT
// Against distributions worked out by hand: logits that are logarithms make probabilities that are fractions.
#include "gguf_fuse/runtime/sampler.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "support/value_of.hpp"

namespace gguf_fuse::runtime {
namespace {

using test_support::value_of;
using testing::ElementsAre;

constexpr int kDraws = 20000;

/// Everything off: the distribution as it is.
SamplerOptions plain() { return {.seed = 7, .temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0, .penalty_last = 64}; }

/// Candidates 0, 1, ... with these probabilities (up to a factor).
std::vector<Candidate> candidates_of(const std::vector<double>& weights) {
  std::vector<Candidate> candidates;
  for (const double weight : weights) {
    candidates.push_back({static_cast<std::int32_t>(candidates.size()), static_cast<float>(std::log(weight))});
  }
  return candidates;
}

std::map<std::int32_t, int> draw_many(Sampler& sampler, const std::vector<Candidate>& candidates) {
  std::map<std::int32_t, int> counts;
  for (int i = 0; i < kDraws; ++i) ++counts[value_of(sampler.choose(candidates))];
  return counts;
}

/// Tokens that can come at all, and how far their frequencies are from what is expected: chi-square, which for a right
/// sampler with k tokens exceeds k - 1 + 5 * sqrt(2 * (k - 1)) about once in 100,000 seeds; the seed is fixed.
void expect_distribution(const SamplerOptions& options, const std::vector<Candidate>& candidates,
                         const std::map<std::int32_t, double>& expected) {
  Sampler sampler(options);
  const auto counts = draw_many(sampler, candidates);
  double sum = 0;
  for (const auto& [token, weight] : expected) sum += weight;
  double chi_square = 0;
  for (const auto& [token, weight] : expected) {
    ASSERT_TRUE(counts.count(token)) << token << " never came";
    const double wanted = weight / sum * kDraws;
    chi_square += (counts.at(token) - wanted) * (counts.at(token) - wanted) / wanted;
  }
  EXPECT_EQ(counts.size(), expected.size());
  const double freedom = static_cast<double>(expected.size()) - 1;
  EXPECT_LE(chi_square, freedom + 5 * std::sqrt(2 * freedom) + 1e-9);
}

TEST(Sampler, DrawsTheDistributionOfTheLogits) {
  expect_distribution(plain(), candidates_of({5, 3, 1, 1}), {{0, 5}, {1, 3}, {2, 1}, {3, 1}});
  expect_distribution(plain(), candidates_of({1, 1, 1, 1, 1, 1, 1}),
                      {{0, 1}, {1, 1}, {2, 1}, {3, 1}, {4, 1}, {5, 1}, {6, 1}});
}

TEST(Sampler, TemperatureIsAnExponent) {
  SamplerOptions options = plain();
  options.temperature = 0.5F;
  expect_distribution(options, candidates_of({4, 2, 1}), {{0, 16}, {1, 4}, {2, 1}});
  options.temperature = 2;
  expect_distribution(options, candidates_of({16, 4, 1}), {{0, 4}, {1, 2}, {2, 1}});
}

TEST(Sampler, TemperatureComesLast) {
  // before it, 8/12 alone reach top-p 0.6; flattened first, two would be needed
  SamplerOptions options = plain();
  options.temperature = 100;
  options.top_p = 0.6F;
  expect_distribution(options, candidates_of({8, 3, 1}), {{0, 1}});
}

TEST(Sampler, TopKKeepsTheMostLikelyInAnyOrderOfCandidates) {
  SamplerOptions options = plain();
  options.top_k = 2;
  expect_distribution(options, candidates_of({1, 4, 2, 3}), {{1, 4}, {3, 3}});
  options.top_k = 9;
  expect_distribution(options, candidates_of({1, 4}), {{0, 1}, {1, 4}});
}

TEST(Sampler, TopKPrefersTheLowerOfEquals) {
  SamplerOptions options = plain();
  options.top_k = 2;
  auto candidates = candidates_of({1, 1, 1, 1});
  std::reverse(candidates.begin(), candidates.end());
  expect_distribution(options, candidates, {{0, 1}, {1, 1}});
}

TEST(Sampler, TopPKeepsAsFewAsReachIt) {
  SamplerOptions options = plain();
  const auto candidates = candidates_of({5, 3, 1, 1});
  options.top_p = 0.45F;
  expect_distribution(options, candidates, {{0, 1}});
  options.top_p = 0.6F;
  expect_distribution(options, candidates, {{0, 5}, {1, 3}});
  options.top_p = 0.85F;
  expect_distribution(options, candidates, {{0, 5}, {1, 3}, {2, 1}});
  options.top_p = 0;
  expect_distribution(options, candidates, {{0, 1}});
}

TEST(Sampler, TopPCountsWhatTopKLeft) {
  // of the two that are left the first has 4/7, which is enough; of all it has 0.4, which would not be
  SamplerOptions options = plain();
  options.top_k = 2;
  options.top_p = 0.5F;
  expect_distribution(options, candidates_of({4, 3, 2, 1}), {{0, 1}});
}

TEST(Sampler, MinPIsRelativeToTheLargest) {
  SamplerOptions options = plain();
  const auto candidates = candidates_of({10, 6, 4, 1});
  options.min_p = 0.5F;
  expect_distribution(options, candidates, {{0, 10}, {1, 6}});
  options.min_p = 0.3F;
  expect_distribution(options, candidates, {{0, 10}, {1, 6}, {2, 4}});
  options.min_p = 1;
  expect_distribution(options, candidates, {{0, 1}});
}

TEST(Sampler, GreedyTakesTheLowestOfEquals) {
  for (const float temperature : {0.0F, -1.0F}) {
    SamplerOptions options = plain();
    options.temperature = temperature;
    Sampler sampler(options);
    EXPECT_EQ(value_of(sampler.choose({{9, 2}, {5, 3}, {3, 3}, {1, 1}})), 3);
    EXPECT_EQ(value_of(sampler.choose({{4, -8}})), 4);
  }
}

/// The greedy choice, to see what penalties did to the logits.
std::int32_t best(SamplerOptions options, const std::vector<std::int32_t>& history, std::vector<Candidate> candidates) {
  options.temperature = 0;
  Sampler sampler(options);
  return value_of(sampler.choose(std::move(candidates), history));
}

TEST(Sampler, RepeatPenaltyDividesPositiveAndMultipliesNegativeLogits) {
  SamplerOptions options = plain();
  options.repeat_penalty = 2;
  // 4 / 2 = 2 against 2.5 and 1.5
  EXPECT_EQ(best(options, {0}, {{0, 4}, {1, 2.5F}}), 1);
  EXPECT_EQ(best(options, {0}, {{0, 4}, {1, 1.5F}}), 0);
  // -1 * 2 = -2 against -1.5 and -2.5
  EXPECT_EQ(best(options, {0}, {{0, -1}, {1, -1.5F}}), 1);
  EXPECT_EQ(best(options, {0}, {{0, -1}, {1, -2.5F}}), 0);
  // once, however often it came
  EXPECT_EQ(best(options, {0, 0, 0}, {{0, 4}, {1, 1.5F}}), 0);
}

TEST(Sampler, FrequencyPenaltyCountsAndPresencePenaltyDoesNot) {
  SamplerOptions options = plain();
  options.frequency_penalty = 0.5F;
  EXPECT_EQ(best(options, {0, 0, 0}, {{0, 4}, {1, 2.6F}}), 1);  // 4 - 1.5
  EXPECT_EQ(best(options, {0, 0, 0}, {{0, 4}, {1, 2.4F}}), 0);
  options = plain();
  options.presence_penalty = 0.5F;
  EXPECT_EQ(best(options, {0, 0, 0}, {{0, 4}, {1, 3.6F}}), 1);  // 4 - 0.5
  EXPECT_EQ(best(options, {0, 0, 0}, {{0, 4}, {1, 3.4F}}), 0);
  // all together: 4 / 2 - 3 * 0.25 - 0.5 = 0.75
  options.repeat_penalty = 2;
  options.frequency_penalty = 0.25F;
  EXPECT_EQ(best(options, {0, 0, 0}, {{0, 4}, {1, 0.8F}}), 1);
  EXPECT_EQ(best(options, {0, 0, 0}, {{0, 4}, {1, 0.7F}}), 0);
}

TEST(Sampler, PenaltiesLookBackAsFarAsTheyAreTold) {
  SamplerOptions options = plain();
  options.repeat_penalty = 10;
  options.penalty_last = 2;
  EXPECT_EQ(best(options, {0, 1, 2}, {{0, 4}, {1, 3}}), 0);
  EXPECT_EQ(best(options, {1, 0, 2}, {{0, 4}, {1, 3}}), 1);
  options.penalty_last = 0;
  EXPECT_EQ(best(options, {0}, {{0, 4}, {1, 3}}), 0);
  options.penalty_last = -1;
  EXPECT_EQ(best(options, std::vector<std::int32_t>(500, 0), {{0, 4}, {1, 3}}), 1);
}

TEST(Sampler, PenaltiesComeBeforeTopK) {
  SamplerOptions options = plain();
  options.repeat_penalty = 10;
  options.top_k = 1;
  Sampler sampler(options);
  EXPECT_EQ(value_of(sampler.choose({{0, 4}, {1, 3}}, std::vector{0})), 1);
}

TEST(Sampler, CandidatesThatCannotBeChosenFromAreErrors) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const float temperature : {0.0F, 1.0F}) {
    SamplerOptions options = plain();
    options.temperature = temperature;
    options.top_k = 2;
    options.top_p = 0.9F;
    options.min_p = 0.1F;
    Sampler sampler(options);
    EXPECT_EQ(sampler.choose({}).error().code, ErrorCode::InvalidArgument);
    for (const float bad : {nan, kInfinity}) {
      EXPECT_EQ(sampler.choose({{0, 1}, {1, bad}, {2, 3}}).error().code, ErrorCode::NotFinite);
    }
    EXPECT_EQ(sampler.choose({{0, -kInfinity}, {1, -kInfinity}}).error().code, ErrorCode::NotFinite);
    EXPECT_EQ(value_of(sampler.choose({{0, -kInfinity}, {1, -5}, {2, -kInfinity}})), 1);  // the others are forbidden
    options.repeat_penalty = 0;                                                           // 0 / 0
    EXPECT_EQ(Sampler(options).choose({{0, 0}, {1, 1}}, std::vector{0, 1}).error().code, ErrorCode::NotFinite);
  }
}

TEST(Sampler, EqualSeedsGiveEqualTokensEverywhere) {
  const auto candidates = candidates_of({1, 1, 1, 1, 1, 1, 1, 1, 1, 1});
  const auto tokens_of = [&](std::uint32_t seed) {
    SamplerOptions options = plain();
    options.seed = seed;
    Sampler sampler(options);
    std::vector<std::int32_t> tokens;
    for (int i = 0; i < 8; ++i) tokens.push_back(value_of(sampler.choose(candidates)));
    return tokens;
  };
  EXPECT_EQ(tokens_of(1), tokens_of(1));
  EXPECT_NE(tokens_of(1), tokens_of(2));
  // mt19937 with its default seed begins 3499211612, 581869302, 3890346734, 3586334585, 545404204, 4161255391, ...:
  // each other number over 2^32, in tenths
  EXPECT_THAT(tokens_of(5489), ElementsAre(8, 9, 1, 9, 6, 0, 2, 5));
}

TEST(Sampler, AsksForAsFewCandidatesAsCanDecide) {
  const auto asked = [](auto change) {
    SamplerOptions options;
    change(options);
    return Sampler(options).candidates();
  };
  EXPECT_EQ(asked([](SamplerOptions&) {}), 40U);
  EXPECT_EQ(asked([](SamplerOptions& options) { options.temperature = 0; }), 1U);
  EXPECT_EQ(asked([](SamplerOptions& options) { options.top_k = 0; }), 0U);
  EXPECT_EQ(asked([](SamplerOptions& options) { options.top_k = 256; }), 256U);
  EXPECT_EQ(asked([](SamplerOptions& options) { options.top_k = 257; }), 0U);
  // 64 penalised tokens may make room for as many others
  EXPECT_EQ(asked([](SamplerOptions& options) { options.repeat_penalty = 1.1F; }), 104U);
  EXPECT_EQ(asked([](SamplerOptions& options) { options.presence_penalty = 1, options.temperature = 0; }), 65U);
  EXPECT_EQ(asked([](SamplerOptions& options) { options.repeat_penalty = 1.1F, options.penalty_last = -1; }), 0U);
  EXPECT_EQ(asked([](SamplerOptions& options) { options.repeat_penalty = 1.1F, options.penalty_last = 0; }), 40U);
  // what raises logits may bring up any token
  EXPECT_EQ(asked([](SamplerOptions& options) { options.repeat_penalty = 0.9F; }), 0U);
  EXPECT_EQ(asked([](SamplerOptions& options) { options.frequency_penalty = -1; }), 0U);
}

TEST(Sampler, FewCandidatesDecideAsAllOfThemDo) {
  // the promise behind candidates(): with penalties that lower, the best top_k + penalty_last are enough
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    std::vector<Candidate> all;
    for (std::int32_t token = 0; token < 300; ++token) {
      all.push_back({token, static_cast<float>(random() % 2000) / 100 - 10});
    }
    SamplerOptions options{.seed = static_cast<std::uint32_t>(random()),
                           .top_k = 10,
                           .penalty_last = 20,
                           .repeat_penalty = 1.5F,
                           .frequency_penalty = 0.3F};
    Sampler whole(options), few(options);
    std::vector<std::int32_t> sequence;
    for (int i = 0; i < 30; ++i) sequence.push_back(static_cast<std::int32_t>(random() % 300));
    auto best_ones = all;
    std::sort(best_ones.begin(), best_ones.end(), [](const Candidate& a, const Candidate& b) {
      return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
    });
    best_ones.resize(few.candidates());
    ASSERT_EQ(best_ones.size(), 30U);
    EXPECT_EQ(value_of(few.choose(best_ones, sequence)), value_of(whole.choose(all, sequence)));
  }
}

}  // namespace
}  // namespace gguf_fuse::runtime
