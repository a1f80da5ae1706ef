// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "gguf_fuse/kernels/attention.hpp"
#include "gguf_fuse/kernels/logits.hpp"
#include "gguf_fuse/kernels/prepare.hpp"

namespace gguf_fuse::kernels {

// The operations of prepare.hpp, attention.hpp and logits.hpp in plain C++ over host memory, in double, for tests.
// Those of matmul.hpp are in matmul_reference.hpp. They trust their arguments: sizes must fit.

struct PrepareInput {
  std::span<const float> x{};       ///< float[tokens][columns]
  std::span<const float> weight{};  ///< none: all 1
  std::span<const float> bias{};    ///< none: all 0
  std::span<const float> branch{};
  std::span<const float> post_weight{};
  float scale = 1;  ///< with PrepareShape::scaled
};

struct PreparedRows {
  std::vector<double> x;    ///< behind the residual branch and the scale
  std::vector<double> out;  ///< behind the norm, before quantising
};

/// A row becomes its RMS or layer norm; weight and bias may be empty.
void norm_reference(Norm norm, float epsilon, std::span<const float> weight, std::span<const float> bias,
                    std::span<double> row);

[[nodiscard]] PreparedRows prepare_reference(const PrepareShape& shape, const PrepareInput& input);

struct StoreInput {
  std::span<const float> qkv{};  ///< float[tokens][q_columns + 2 * kv_columns]
  std::span<const float> frequencies{};
  std::span<const float> q_norm{};  ///< float[size], or float[heads][size] as StoreShape::weights_per_head has it
  std::span<const float> k_norm{};
};

struct StoredRows {
  std::vector<double> q;  ///< [tokens][q_columns]
  std::vector<double> k;  ///< [tokens][kv_columns]
  std::vector<double> v;
};

/// The angle is the float product that the kernels use too; its cosine and sine are exact.
[[nodiscard]] StoredRows store_kv_reference(const StoreShape& shape, const StoreInput& input, std::uint32_t past);

/// What a cache of this type gives back for the elements of one head. F16 rounds to nearest, ties to even; Q8_0: blocks
/// of 32, scale = half(max |x| / 127), values rounded likewise.
[[nodiscard]] std::vector<float> cache_reference(CacheType type, std::span<const float> head);

enum class CachePart : std::uint8_t { K, V };

/// A head of a position out of the bytes of a cache (their order: cl/cache.cl). Positions are counted through the pages
/// in the order in which they lie.
[[nodiscard]] std::vector<float> read_cached_head(const CacheShape& shape, CachePart part,
                                                  std::span<const std::byte> bytes, std::uint32_t kv_head,
                                                  std::uint32_t position);

/// [tokens][q_columns]; q is float[tokens][q_columns], k and v are float[past + tokens][kv_columns], sinks float[heads]
/// or empty; `shape.sinks` is not read.
[[nodiscard]] std::vector<double> attention_reference(const AttentionShape& shape, const HeadShape& heads,
                                                      std::span<const float> q, std::span<const float> k,
                                                      std::span<const float> v, std::span<const float> sinks = {});

[[nodiscard]] RowStatistics row_statistics_reference(std::span<const float> row);
[[nodiscard]] std::vector<Candidate> top_k_reference(std::span<const float> row, std::uint32_t k);

}  // namespace gguf_fuse::kernels
