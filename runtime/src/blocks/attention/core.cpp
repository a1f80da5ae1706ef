// SPDX-License-Identifier: MIT
#include "blocks/attention/core.hpp"

#include <algorithm>

#include "blocks/recorder.hpp"

namespace gguf_fuse::runtime::detail {

void AttentionScratch::widen(const HeadShape& heads) {
  q_columns = std::max<std::uint64_t>(q_columns, heads.q_columns());
  qkv_columns = std::max<std::uint64_t>(qkv_columns, heads.q_columns() + 2 * heads.kv_columns());
}

Result<void> AttentionScratch::allocate(const Device& device, std::uint32_t tokens) {
  GGUF_FUSE_CHECK(float_rows(device, tokens, qkv_columns, qkv));
  GGUF_FUSE_CHECK(float_rows(device, tokens, q_columns, q));
  return float_rows(device, tokens, q_columns, out);
}

Result<void> record_core(Recorder& recorder, const AttentionCore& core) {
  const AttentionParameters& parameters = core.parameters;
  const auto& scratch = recorder.scratch<AttentionScratch>();
  const StoreShape store{.heads = parameters.heads,
                         .rope = parameters.rope,
                         .rotated = parameters.angles->rotated,
                         .magnitude = rope_magnitude(*parameters.angles),
                         .head_norm = core.q_norm && !parameters.turned_norm ? Norm::Rms : Norm::None,
                         .turned_norm = parameters.turned_norm,
                         .turned_weights = parameters.turned_norm && core.q_norm,
                         .value_norm = core.value_norm,
                         .epsilon = core.epsilon,
                         .q_factor = parameters.q_factor,
                         .query_scale = parameters.query_scale};
  GGUF_FUSE_CHECK(recorder.add(store_kv(recorder.device(), store,
                                        {.qkv = scratch.qkv,
                                         .frequencies = recorder.frequencies(parameters.angles),
                                         .q_norm = core.q_norm,
                                         .k_norm = core.k_norm,
                                         .q = scratch.q},
                                        recorder.cache(), recorder.step())));
  const AttentionShape shape{.softcap = parameters.softcap,
                             .window = parameters.window,
                             .chunked = parameters.chunked,
                             .sinks = core.sinks,
                             .max_tokens = recorder.max_tokens(),
                             .max_sequences = recorder.max_sequences()};
  return recorder.add(attention(recorder.device(), shape, recorder.cache(), scratch.q, scratch.out, recorder.step()));
}

}  // namespace gguf_fuse::runtime::detail
