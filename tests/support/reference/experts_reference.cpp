// SPDX-License-Identifier: MIT
#include "support/reference/experts_reference.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace gguf_fuse::kernels {
namespace {

void softmax(std::vector<double>& values) {
  const double largest = *std::max_element(values.begin(), values.end());
  double sum = 0;
  for (double& value : values) sum += value = std::exp(value - largest);
  for (double& value : values) value /= sum;
}

void sigmoid(std::vector<double>& values) {
  for (double& value : values) value = 1 / (1 + std::exp(-value));
}

/// Indices, the largest value first; of equal ones the lower index.
std::vector<std::uint32_t> descending(const std::vector<double>& values) {
  std::vector<std::uint32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return values[a] > values[b]; });
  return order;
}

/// Whether each group takes part.
std::vector<bool> chosen_groups(const RouterShape& shape, const std::vector<double>& choosing) {
  const std::size_t size = shape.experts / shape.groups;
  std::vector<double> scores;
  for (auto first = choosing.begin(); first != choosing.end(); first += static_cast<std::ptrdiff_t>(size)) {
    std::vector<double> group(first, first + static_cast<std::ptrdiff_t>(size));
    std::sort(group.rbegin(), group.rend());
    scores.push_back(group[0] + (size > 1 ? group[1] : 0));
  }
  const std::vector<std::uint32_t> order = descending(scores);
  std::vector<bool> chosen(shape.groups);
  for (std::uint32_t i = 0; i < shape.groups_used; ++i) chosen[order[i]] = true;
  return chosen;
}

}  // namespace

RoutedToken route_reference(const RouterShape& shape, std::span<const float> logits,
                            std::span<const float> selection_bias, std::span<const float> expert_factor) {
  std::vector<double> values(logits.begin(), logits.end());
  if (shape.gating == Gating::Softmax) softmax(values);
  if (shape.gating == Gating::Sigmoid) sigmoid(values);
  std::vector<double> choosing = values;
  for (std::size_t i = 0; i < selection_bias.size(); ++i) choosing[i] += double{selection_bias[i]};
  const std::vector<bool> groups = chosen_groups(shape, choosing);
  RoutedToken routed;
  for (const std::uint32_t expert : descending(choosing)) {
    if (routed.experts.size() == shape.used || !groups[expert / (shape.experts / shape.groups)]) continue;
    routed.experts.push_back(expert);
    routed.weights.push_back(values[expert]);
  }
  if (shape.gating == Gating::SelectedSoftmax) softmax(routed.weights);
  if (shape.gating == Gating::SelectedSigmoid) sigmoid(routed.weights);
  const double sum = std::accumulate(routed.weights.begin(), routed.weights.end(), 0.0);
  for (std::size_t i = 0; i < routed.weights.size(); ++i) {
    double& weight = routed.weights[i];
    if (shape.normalise) weight /= std::max(sum, std::ldexp(1.0, -14));
    weight *= double{shape.scale};
    if (!expert_factor.empty()) weight *= double{expert_factor[routed.experts[i]]};
  }
  return routed;
}

}  // namespace gguf_fuse::kernels
