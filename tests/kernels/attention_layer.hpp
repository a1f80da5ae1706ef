// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <limits>
#include <span>
#include <vector>

#include "attention_support.hpp"
#include "gguf_fuse/kernels/attention.hpp"
#include "support/reference/reference.hpp"

namespace gguf_fuse::test_support {

/// Adds all of `from` to the end of `to`.
inline void append(std::vector<float>& to, std::span<const float> from) {
  to.insert(to.end(), from.begin(), from.end());
}

/// Pages for so many positions.
constexpr std::uint32_t pages_for(std::uint32_t positions) { return (positions + kPageTokens - 1) / kPageTokens; }

/// Numbers of pages without order, the same ones each time.
inline std::vector<std::uint32_t> shuffled_pages(std::uint32_t pages) {
  const std::vector<std::size_t> order = Random(pages).permutation(pages);
  return {order.begin(), order.end()};
}

/// A layer whose Q, K and V come as they are (no rotary embedding): what was stored is known, and what the cache makes
/// of it. The cache starts full of NaN, so that nothing beyond the last position may matter; its pages have no order.
class Layer {
 public:
  Layer(Device& device, CacheShape shape) : device_(device), cache_{.shape = shape, .table_row = shape.pages} {
    cache_.table = buffer_of(device, shuffled_pages(shape.pages));
    cache_.k = value_of(device.allocate(shape.k_bytes()));
    cache_.v = value_of(device.allocate(shape.v_bytes()));
    for (const Buffer& buffer : {cache_.k, cache_.v}) {
      value_of(buffer.fill(std::byte{0xff}).map([] { return 0; }));
    }
    step_ = empty_step(device);
  }

  /// Puts tokens behind those that are there. `scale` is the magnitude of Q, K and V.
  void store(std::uint32_t tokens, float scale = 2) {
    const HeadShape heads = cache_.shape.heads;
    const std::size_t q = heads.q_columns(), kv = heads.kv_columns(), row = q + 2 * kv;
    const std::vector<float> qkv = random_floats(tokens * row, 7 + stored(), scale);
    q_ = zeros(device_, tokens * q * sizeof(float));
    past_ = stored();
    auto operation = value_of(store_kv(device_, StoreShape{.heads = heads},
                                       StoreBuffers{.qkv = buffer_of(device_, qkv), .q = q_}, cache_, step_));
    run_operation(device_, operation, step_, tokens, past_);
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
    const Buffer out = zeros(device_, q_.bytes());
    auto operation = value_of(attention(device_, shape, cache_, q_, out, step_));
    run_operation(device_, operation, step_, stored() - past_, past_);
    return content_of<float>(out);
  }

  /// The same as the reference has it, with what the cache gives back, or with what was put into it. `sinks` are those
  /// of the shape.
  std::vector<double> expected(const AttentionShape& shape, std::span<const float> sinks = {}) {
    return attention_reference(shape, cache_.shape.heads, q_rows_, k_, v_, sinks);
  }
  std::vector<double> expected_exact(const AttentionShape& shape) {
    return attention_reference(shape, cache_.shape.heads, q_rows_, k_exact_, v_exact_);
  }

  /// Queries of zeros from now on: all scores are 0.
  void forget_queries() {
    value_of(q_.fill(std::byte{0}).map([] { return 0; }));
    std::fill(q_rows_.begin(), q_rows_.end(), 0.0F);
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

inline double error(std::span<const float> found, const std::vector<double>& expected) {
  return relative_error<float, double>(found, expected);
}

}  // namespace gguf_fuse::test_support
