// SPDX-License-Identifier: MIT
#include "support/reference/reference.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace gguf_fuse::kernels {
namespace {

/// (row - mean) / sqrt(mean((row - mean)^2) + epsilon) * weight; no weights: all 1.
void norm_row(std::span<double> row, double mean, double epsilon, std::span<const float> weight) {
  double squares = 0;
  for (const double value : row) squares += (value - mean) * (value - mean);
  const double factor = 1 / std::sqrt(squares / static_cast<double>(row.size()) + epsilon);
  for (std::size_t i = 0; i < row.size(); ++i) {
    row[i] = (row[i] - mean) * factor * (weight.empty() ? 1 : static_cast<double>(weight[i]));
  }
}

std::vector<double> widen(std::span<const float> values) { return {values.begin(), values.end()}; }

/// Of the head in slot `slot` of a row.
std::span<const float> head_weights(const StoreShape& shape, const StoreInput& input, std::size_t slot) {
  const bool is_q = slot < shape.heads.heads;
  const std::size_t index = is_q ? slot : slot - shape.heads.heads, size = shape.heads.size;
  const std::span<const float> weights = is_q ? input.q_norm : input.k_norm;
  return weights.subspan(shape.weights_per_head ? index * size : 0, size);
}

void norm_qk(const StoreShape& shape, const StoreInput& input, std::size_t slot, std::span<double> head) {
  if (shape.head_norm == Norm::None) return;
  const double mean = std::accumulate(head.begin(), head.end(), 0.0) / static_cast<double>(head.size());
  norm_row(head, shape.head_norm == Norm::Layer ? mean : 0, static_cast<double>(shape.epsilon),
           head_weights(shape, input, slot));
}

void norm_turned(const StoreShape& shape, const StoreInput& input, std::size_t slot, std::span<double> head) {
  if (!shape.turned_norm) return;
  const std::span<const float> none;
  norm_row(head, 0, static_cast<double>(shape.epsilon), shape.turned_weights ? head_weights(shape, input, slot) : none);
}

double query_factor(const StoreShape& shape, std::uint32_t position) {
  const QueryScale& scale = shape.query_scale;
  const double factor = static_cast<double>(shape.q_factor);
  if (scale.length == 0) return factor;
  const double reached = std::floor((static_cast<double>(position) + scale.offset) / scale.length);
  return factor * (1 + static_cast<double>(scale.factor) * std::log(1 + reached));
}

void rotate(const StoreShape& shape, std::span<const float> frequencies, std::uint32_t position,
            std::span<double> head) {
  const std::size_t pairs = shape.rope == Rope::None ? 0 : shape.rotated / 2;
  for (std::size_t i = 0; i < pairs; ++i) {
    const bool neox = shape.rope == Rope::Neox;
    double& a = head[neox ? i : 2 * i];
    double& b = head[neox ? i + pairs : 2 * i + 1];
    const double angle = static_cast<double>(static_cast<float>(position) * frequencies[i]);
    const double cosine = std::cos(angle) * static_cast<double>(shape.magnitude);
    const double sine = std::sin(angle) * static_cast<double>(shape.magnitude);
    const double turned = a * cosine - b * sine;
    b = a * sine + b * cosine;
    a = turned;
  }
}

}  // namespace

void norm_reference(Norm norm, float epsilon, std::span<const float> weight, std::span<const float> bias,
                    std::span<double> row) {
  const double mean = std::accumulate(row.begin(), row.end(), 0.0) / static_cast<double>(row.size());
  norm_row(row, norm == Norm::Layer ? mean : 0, static_cast<double>(epsilon), weight);
  for (std::size_t i = 0; i < bias.size(); ++i) row[i] += static_cast<double>(bias[i]);
}

PreparedRows prepare_reference(const PrepareShape& shape, const PrepareInput& input) {
  const std::size_t columns = shape.result.columns;
  const double epsilon = static_cast<double>(shape.epsilon);
  PreparedRows rows{.x = widen(input.x), .out = {}};
  for (std::size_t first = 0; shape.branch && first < rows.x.size(); first += columns) {
    std::vector<double> branch = widen(input.branch.subspan(first, columns));
    if (shape.branch_norm == Norm::Rms) norm_row(branch, 0, epsilon, input.post_weight);
    for (std::size_t i = 0; i < columns; ++i) {
      rows.x[first + i] += static_cast<double>(shape.branch_factor) * branch[i];
    }
  }
  for (double& value : rows.x) value *= shape.scaled ? static_cast<double>(input.scale) : 1;
  rows.out = rows.x;
  for (std::size_t first = 0; shape.norm != Norm::None && first < rows.out.size(); first += columns) {
    const std::span<double> row = std::span(rows.out).subspan(first, columns);
    norm_reference(shape.norm, shape.epsilon, input.weight, input.bias, row);
  }
  return rows;
}

StoredRows store_kv_reference(const StoreShape& shape, const StoreInput& input, std::uint32_t past) {
  const std::size_t size = shape.heads.size, slots = shape.heads.heads + 2 * shape.heads.kv_heads;
  const std::size_t first_k = shape.heads.heads, first_v = first_k + shape.heads.kv_heads;
  StoredRows rows;
  for (std::size_t i = 0; i < input.qkv.size() / size; ++i) {
    const std::size_t slot = i % slots;
    const std::uint32_t position = past + static_cast<std::uint32_t>(i / slots);
    std::vector<double> head = widen(input.qkv.subspan(i * size, size));
    if (slot < first_v) {
      norm_qk(shape, input, slot, head);
      rotate(shape, input.frequencies, position, head);
      norm_turned(shape, input, slot, head);
    } else if (shape.value_norm) {
      norm_row(head, 0, static_cast<double>(shape.epsilon), {});
    }
    if (slot < first_k) {
      for (double& value : head) value *= query_factor(shape, position);
    }
    std::vector<double>& to = slot < first_k ? rows.q : slot < first_v ? rows.k : rows.v;
    to.insert(to.end(), head.begin(), head.end());
  }
  return rows;
}

std::vector<double> attention_reference(const AttentionShape& shape, const HeadShape& heads, std::span<const float> q,
                                        std::span<const float> k, std::span<const float> v,
                                        std::span<const float> sinks) {
  const std::size_t size = heads.size, tokens = q.size() / heads.q_columns();
  const std::size_t past = k.size() / heads.kv_columns() - tokens;
  std::vector<double> out(q.size(), 0);
  std::vector<double> weights;
  for (std::size_t i = 0; i < tokens * heads.heads; ++i) {
    const std::size_t token = i / heads.heads, kv_head = i % heads.heads / (heads.heads / heads.kv_heads);
    const std::size_t end = past + token + 1;
    std::size_t first = shape.window != 0 && end > shape.window ? end - shape.window : 0;
    if (shape.chunked) first = (end - 1) / shape.window * shape.window;
    weights.assign(end - first, 0);
    for (std::size_t p = first; p < end; ++p) {
      double score = 0;
      for (std::size_t e = 0; e < size; ++e) {
        score +=
            static_cast<double>(q[i * size + e]) * static_cast<double>(k[(p * heads.kv_heads + kv_head) * size + e]);
      }
      const double cap = static_cast<double>(shape.softcap);
      weights[p - first] = cap > 0 ? cap * std::tanh(score / cap) : score;
    }
    const double none = -std::numeric_limits<double>::infinity();
    const double sink = sinks.empty() ? none : static_cast<double>(sinks[i % heads.heads]);
    const double most = std::max(sink, *std::max_element(weights.begin(), weights.end()));
    double total = std::exp(sink - most);
    for (double& weight : weights) total += weight = std::exp(weight - most);
    for (std::size_t p = first; p < end; ++p) {
      for (std::size_t e = 0; e < size; ++e) {
        out[i * size + e] +=
            weights[p - first] / total * static_cast<double>(v[(p * heads.kv_heads + kv_head) * size + e]);
      }
    }
  }
  return out;
}

RowStatistics row_statistics_reference(std::span<const float> row) {
  RowStatistics result;
  result.not_finite = static_cast<std::uint32_t>(
      std::count_if(row.begin(), row.end(), [](float value) { return !std::isfinite(value); }));
  const auto largest = std::max_element(row.begin(), row.end());
  result.argmax = static_cast<std::int32_t>(largest - row.begin());
  result.maximum = *largest;
  double sum = 0;
  for (const float value : row) sum += std::exp(static_cast<double>(value) - static_cast<double>(*largest));
  result.logsumexp = static_cast<float>(static_cast<double>(*largest) + std::log(sum));
  return result;
}

std::vector<Candidate> top_k_reference(std::span<const float> row, std::uint32_t k) {
  std::vector<Candidate> all;
  for (std::size_t i = 0; i < row.size(); ++i) all.push_back({.token = static_cast<std::int32_t>(i), .logit = row[i]});
  // Stable, so equal logits stay in the order of their tokens; NaN goes to the end.
  std::stable_sort(all.begin(), all.end(), [](const Candidate& a, const Candidate& b) {
    return std::isnan(b.logit) ? !std::isnan(a.logit) : a.logit > b.logit;
  });
  all.resize(k);
  return all;
}

}  // namespace gguf_fuse::kernels
