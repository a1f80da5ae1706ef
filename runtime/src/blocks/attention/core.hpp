// SPDX-License-Identifier: MIT
#pragma once

#include "blocks/attention/attention.hpp"
#include "blocks/workspace.hpp"

namespace gguf_fuse::runtime::detail {

/// What attention works in, whatever makes its rows of Q, K and V. Rows are tokens.
struct AttentionScratch final : BlockScratch {
  std::uint64_t qkv_columns = 0, q_columns = 0;
  Buffer qkv;  ///< float[tokens][Q, K and V of all heads]
  Buffer q;    ///< float[tokens][Q of all heads], as attention reads it
  Buffer out;  ///< float[tokens][Q of all heads]

  void widen(const HeadShape& heads);
  [[nodiscard]] Result<void> allocate(const Device& device, std::uint32_t tokens) override;
};

/// What happens between the rows of Q, K and V in the scratch and its `out`.
struct AttentionCore {
  const AttentionParameters& parameters;
  float epsilon = 0;
  bool value_norm = false;
  Buffer q_norm{}, k_norm{}, sinks{};
};
/// Rotary embedding, storing into the cache, attention. Errors: as Session::create.
[[nodiscard]] Result<void> record_core(Recorder& recorder, const AttentionCore& core);

/// The temperature that a file's queries have (Ministral 3, Mistral 4): over stretches of a length that it gives, or of
/// the original context. Errors: MissingKey, WrongValueType, BadHyperparameter.
[[nodiscard]] Result<QueryScale> read_query_scale(const Keys& keys, const RopeParameters& rope);

/// Refuses heads that kernels have no room for; `key` is where their size is from. Errors: UnsupportedHyperparameter.
[[nodiscard]] Result<void> check_head(const Keys& keys, std::string_view key, std::uint32_t size);

}  // namespace gguf_fuse::runtime::detail
