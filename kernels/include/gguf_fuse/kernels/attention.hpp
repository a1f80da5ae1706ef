// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string_view>

#include "gguf_fuse/kernels/operation.hpp"
#include "gguf_fuse/kernels/prepare.hpp"

namespace gguf_fuse::kernels {

/// Types of the KV cache. F16 and BF16 round to nearest, ties to even. The others: blocks of 32 elements of a head (the
/// last one may be shorter) of integers with a half-precision scale, and a minimum for Q4_1 and Q5_1, as ggml's
/// quantize_row_q8_0_ref and its siblings make them; IQ4_NL with the least weighted error.
enum class CacheType : std::uint8_t { F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, IQ4_NL };

/// What a type's cache holds of each element, beside the scales and minimums of blocks.
struct CacheTypeRow {
  CacheType type;
  std::string_view name;  ///< llama.cpp's
  std::uint32_t bits;     ///< of an element; a fifth one lies apart
  bool blocks = false;
  bool minimums = false;
};
/// In the order of CacheType.
[[nodiscard]] GGUF_FUSE_EXPORT std::span<const CacheTypeRow> cache_types();
[[nodiscard]] GGUF_FUSE_EXPORT const CacheTypeRow& cache_type_row(CacheType type);

/// Pairs that rotary embedding turns: (2i, 2i + 1), or (i, i + rotated / 2).
enum class Rope : std::uint8_t { None, Norm, Neox };

/// Heads of one attention layer.
struct HeadShape {
  std::uint32_t heads = 0;     ///< of Q
  std::uint32_t kv_heads = 0;  ///< divides heads
  std::uint32_t size = 0;      ///< elements of a head (K and V alike); multiples of 16 are fastest

  [[nodiscard]] std::uint32_t q_columns() const { return heads * size; }
  [[nodiscard]] std::uint32_t kv_columns() const { return kv_heads * size; }
};

/// Positions of a page of the cache. Kernels work on as many at once, so that each look at a table of pages serves them
/// all; with pages twice as long they were no faster.
inline constexpr std::uint32_t kPageTokens = 64;

/// The cache of one layer on a device: keys and values in pages that any sequence may take, kPageTokens consecutive
/// positions of one each. The order within a page belongs to the kernels.
struct GGUF_FUSE_EXPORT CacheShape {
  CacheType k = CacheType::F16;
  CacheType v = CacheType::F16;
  std::uint32_t pages = 0;
  HeadShape heads{};

  [[nodiscard]] std::uint64_t k_bytes() const;
  [[nodiscard]] std::uint64_t v_bytes() const;
};

struct Cache {
  CacheShape shape{};
  Buffer k{};
  Buffer v{};
  /// uint32[sequences][table_row]: position p of a sequence lies in page table[sequence][p / kPageTokens]. Kernels
  /// follow no entries behind the positions of a step and none before the page in which the window of one begins.
  Buffer table{};
  std::uint32_t table_row = 0;
};

/// What Q is multiplied by, the more the farther out its position is (attention temperature of Llama 4 and Mistral 3):
/// 1 + factor * log(1 + floor((position + offset) / length)).
struct QueryScale {
  std::uint32_t length = 0;  ///< positions; 0: not at all
  std::uint32_t offset = 0;
  float factor = 0;
};

/// What happens to the rows [Q heads | K heads | V heads] of a token between their projection and attention: norm of
/// every head of Q and K, rotary embedding of the first `rotated` elements of each head, RMS norm of what
/// has turned, K and V into the cache where the token's sequence has its position, Q times `q_factor` and
/// `query_scale` to where attention reads it. The angle of pair i at position p is p * frequencies[i]; cos and sin are
/// multiplied by `magnitude` (YaRN).
struct StoreShape {
  HeadShape heads{};
  Rope rope = Rope::None;
  std::uint32_t rotated = 0;
  float magnitude = 1;
  Norm head_norm = Norm::None;    ///< none of them has a bias
  bool weights_per_head = false;  ///< of head_norm: each head has its own (Command R, StableLM)
  bool turned_norm = false;       ///< RMS norm of Q and K heads behind rotary embedding (Llama 4),
  bool turned_weights = false;    ///< which has the weights that head_norm then has not (Hunyuan)
  bool value_norm = false;        ///< RMS norm of every V head, without weights (Gemma 4)
  float epsilon = 1e-6F;
  float q_factor = 1;
  QueryScale query_scale{};
};

struct StoreBuffers {
  Buffer qkv{};          ///< float[tokens][q_columns + 2 * kv_columns]
  Buffer frequencies{};  ///< float[rotated / 2], unless rope is None
  Buffer q_norm{};       ///< float[size], or float[heads][size] with weights_per_head; if a norm has weights
  Buffer k_norm{};       ///< float[size], or float[kv_heads][size]
  Buffer q{};            ///< float[tokens][q_columns], written
};

/// The table of pages must name a page of the cache for every position of a step. Errors: InvalidArgument (buffers that
/// are missing or too small, shapes that contradict each other), KernelBuildFailed, OpenClFailed.
[[nodiscard]] GGUF_FUSE_EXPORT Result<Operation> store_kv(Device& device, const StoreShape& shape,
                                                          const StoreBuffers& buffers, const Cache& cache,
                                                          const Buffer& step);

/// Softmax attention of each token over the positions of its sequence up to its own: score = q . k, soft-capped (cap *
/// tanh(score / cap)) when `softcap` > 0; with a window only the last `window` positions (its own included) count, or,
/// where windows are chunks, those from the last multiple of `window` on (Llama 4).
struct AttentionShape {
  float softcap = 0;
  std::uint32_t window = 0;  ///< 0: no window
  bool chunked = false;
  /// float[heads], or none: a score that takes part in each softmax of its head and has no value (gpt-oss).
  Buffer sinks{};
  /// Of one step, as max_sequences. Tokens of long runs are taken in tiles; the positions that the token of a short run
  /// sees are split over work-items, the more the longer they reach. An operation for one token knows short runs only.
  std::uint32_t max_tokens = 1;
  std::uint32_t max_sequences = 1;

  /// Of a run of so many tokens of one sequence.
  [[nodiscard]] GGUF_FUSE_EXPORT Work work(const CacheShape& cache, std::uint32_t tokens, std::uint32_t past) const;
};

/// `q` as store_kv left it; `out` takes float[tokens][q_columns]. Partial sums of a split live in a scratch buffer that
/// the operation owns. The result of a token depends on its own sequence and on the number of parts, not on what else
/// the step holds. A NaN in Q, K or V reaches the output. `step` holds a StepTable of max_tokens and max_sequences.
/// Errors: as store_kv.
[[nodiscard]] GGUF_FUSE_EXPORT Result<Operation> attention(Device& device, const AttentionShape& shape,
                                                           const Cache& cache, const Buffer& q, const Buffer& out,
                                                           const Buffer& step);

}  // namespace gguf_fuse::kernels
