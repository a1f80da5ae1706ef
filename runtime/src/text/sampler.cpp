// SPDX-License-Identifier: MIT
#include "gguf_fuse/runtime/sampler.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

namespace gguf_fuse::runtime {
namespace {

constexpr std::uint32_t kMostCandidates = 256;  // that a device sorts

/// More likely first; the order is total, so that every machine sorts alike.
bool before(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
}

/// exp(logit - largest) of each: probabilities but for a common factor. Candidates are in order.
std::vector<double> weights_of(const std::vector<Candidate>& candidates, double temperature) {
  std::vector<double> weights;
  weights.reserve(candidates.size());
  const double largest = candidates.front().logit;
  for (const Candidate& candidate : candidates) weights.push_back(std::exp((candidate.logit - largest) / temperature));
  return weights;
}

double sum_of(const std::vector<double>& weights) {
  double sum = 0;
  for (const double weight : weights) sum += weight;
  return sum;
}

void keep_top_p(std::vector<Candidate>& candidates, double p) {
  const std::vector<double> weights = weights_of(candidates, 1);
  const double enough = p * sum_of(weights);
  std::size_t kept = 0;
  for (double sum = 0; kept < weights.size();) {
    sum += weights[kept++];
    if (sum >= enough) break;
  }
  candidates.resize(kept);
}

void keep_min_p(std::vector<Candidate>& candidates, double p) {
  const std::vector<double> weights = weights_of(candidates, 1);
  // the largest weight is 1, and stays even when more than all is asked for
  const auto cut = std::find_if(weights.begin() + 1, weights.end(), [p](double weight) { return weight < p; });
  candidates.resize(static_cast<std::size_t>(cut - weights.begin()));
}

Result<void> check(const std::vector<Candidate>& candidates) {
  if (candidates.empty()) {
    return fail({.code = ErrorCode::InvalidArgument, .expected = "candidates for the next token", .actual = "none"});
  }
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  bool any = false;
  for (const Candidate& candidate : candidates) {
    any = any || candidate.logit != -kInfinity;
    if (!std::isnan(candidate.logit) && candidate.logit != kInfinity) continue;
    return fail({.code = ErrorCode::NotFinite,
                 .expected = "numbers",
                 .actual = fmt::format("{} for token {}", candidate.logit, candidate.token)});
  }
  if (any) return {};
  return fail({.code = ErrorCode::NotFinite, .expected = "a token that is not forbidden", .actual = "none"});
}

}  // namespace

Sampler::Sampler(const SamplerOptions& options) : options_(options), random_(options.seed) {}

bool Sampler::penalises() const {
  const bool any = options_.repeat_penalty != 1 || options_.frequency_penalty != 0 || options_.presence_penalty != 0;
  return any && options_.penalty_last != 0;
}

std::uint32_t Sampler::candidates() const {
  const bool greedy = options_.temperature <= 0;
  if (!greedy && options_.top_k <= 0) return 0;
  std::int64_t count = greedy ? 1 : options_.top_k;
  if (penalises()) {
    const bool raises = options_.repeat_penalty < 1 || options_.frequency_penalty < 0 || options_.presence_penalty < 0;
    if (raises || options_.penalty_last < 0) return 0;
    // penalties that only lower logits push at most so many out of the best
    count += options_.penalty_last;
  }
  return count <= kMostCandidates ? static_cast<std::uint32_t>(count) : 0;
}

Result<std::int32_t> Sampler::sample(Session& session) {
  const std::uint32_t count = candidates();
  GGUF_FUSE_ASSIGN(std::vector<Candidate> found, session.top(count));
  if (count == 0 || found.size() < count) {
    // of several rows the last one is the last token's
    GGUF_FUSE_ASSIGN(const std::vector<float> logits, session.logits());
    GGUF_FUSE_ASSIGN(const std::vector<RowStatistics> rows, session.statistics());
    const std::size_t vocabulary = logits.size() / rows.size();
    found.clear();
    found.reserve(vocabulary);
    for (const float logit : std::span(logits).last(vocabulary)) {
      found.push_back({static_cast<std::int32_t>(found.size()), logit});
    }
  }
  return choose(std::move(found), session.tokens());
}

void Sampler::penalise(std::vector<Candidate>& candidates, std::span<const std::int32_t> sequence) const {
  if (options_.penalty_last > 0) {
    sequence = sequence.last(std::min(sequence.size(), static_cast<std::size_t>(options_.penalty_last)));
  }
  std::unordered_map<std::int32_t, int> counts;
  for (const std::int32_t token : sequence) ++counts[token];
  for (Candidate& candidate : candidates) {
    const auto found = counts.find(candidate.token);
    if (found == counts.end()) continue;
    const float penalty = options_.repeat_penalty;
    candidate.logit = candidate.logit <= 0 ? candidate.logit * penalty : candidate.logit / penalty;
    candidate.logit -= static_cast<float>(found->second) * options_.frequency_penalty + options_.presence_penalty;
  }
}

double Sampler::draw() {
  // statement by statement: the order of two calls in one expression is the compiler's choice
  const auto high = static_cast<std::uint64_t>(random_()) >> 5U;
  const auto low = static_cast<std::uint64_t>(random_()) >> 6U;
  return static_cast<double>((high << 26U) | low) * 0x1p-53;
}

Result<std::int32_t> Sampler::choose(std::vector<Candidate> candidates, std::span<const std::int32_t> sequence) {
  if (penalises()) penalise(candidates, sequence);
  GGUF_FUSE_CHECK(check(candidates));
  if (options_.temperature <= 0) return std::min_element(candidates.begin(), candidates.end(), before)->token;
  std::size_t kept = candidates.size();
  if (options_.top_k > 0) kept = std::min(kept, static_cast<std::size_t>(options_.top_k));
  std::partial_sort(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(kept), candidates.end(),
                    before);
  candidates.resize(kept);
  if (options_.top_p < 1) keep_top_p(candidates, options_.top_p);
  if (options_.min_p > 0) keep_min_p(candidates, options_.min_p);
  const std::vector<double> weights = weights_of(candidates, options_.temperature);
  double left = draw() * sum_of(weights);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    left -= weights[i];
    if (left < 0) return candidates[i].token;
  }
  return candidates.back().token;  // rounding left a little
}

}  // namespace gguf_fuse::runtime
