// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "blocks/attention/core.hpp"
#include "blocks/latent_attention/latent_attention.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

/// Products that take a head's columns each read whole groups of them and write whole tiles of rows.
Result<void> check_multiples(const Keys& keys, const LatentParameters& latent) {
  const struct {
    std::string_view key;
    std::uint32_t value;
    std::uint32_t multiple;
  } shapes[] = {{"attention.kv_lora_rank", latent.kv_rank, kGroupElements},
                {"attention.key_length_mla", latent.plain, kGroupElements},
                {"attention.value_length_mla", latent.value, kTileRows}};
  for (const auto& shape : shapes) {
    if (shape.value % shape.multiple == 0) continue;
    return fail(keys.bad(ErrorCode::UnsupportedHyperparameter, shape.key,
                         fmt::format("a multiple of {} (without what turns)", shape.multiple),
                         std::to_string(shape.value)));
  }
  return {};
}

Result<LatentParameters> read_parameters(const Keys& keys) {
  LatentParameters latent;
  GGUF_FUSE_ASSIGN(latent.heads, keys.size("attention.head_count"));
  GGUF_FUSE_ASSIGN(latent.q_rank, keys.count("attention.q_lora_rank"));
  GGUF_FUSE_ASSIGN(latent.kv_rank, keys.size("attention.kv_lora_rank"));
  GGUF_FUSE_ASSIGN(latent.rope, keys.size("rope.dimension_count"));
  GGUF_FUSE_ASSIGN(const std::uint32_t key, keys.size("attention.key_length_mla"));
  GGUF_FUSE_ASSIGN(latent.value, keys.size("attention.value_length_mla"));
  if (latent.rope >= key) {
    return fail(keys.bad(ErrorCode::BadHyperparameter, "attention.key_length_mla",
                         fmt::format("more than the {} elements that turn", latent.rope), std::to_string(key)));
  }
  latent.plain = key - latent.rope;
  GGUF_FUSE_CHECK(check_multiples(keys, latent));
  const std::uint32_t head = latent.rope + latent.kv_rank;
  GGUF_FUSE_CHECK(check_head(keys, "attention.kv_lora_rank", head));
  if (std::uint64_t{latent.heads} * std::max(key, head) > kLargestSize) {
    return fail(keys.bad(ErrorCode::BadHyperparameter, "attention.head_count", "fewer", std::to_string(latent.heads)));
  }
  return latent;
}

/// Latent attention turns only a part of a head, so YaRN's growth is applied to whole scores, as the square of what
/// this returns (softmax_scale of DeepSeek-V2's own code): by mscale_all_dim, of which files hold a tenth, and not to
/// cos and sin; or by 1 to both.
Result<double> move_growth_to_scores(const Keys& keys, RopeParameters& rope) {
  if (!rope.yarn) return 1;
  GGUF_FUSE_ASSIGN(const double multiplier, keys.real("rope.scaling.yarn_log_multiplier"));
  const double growth = rope.attention_factor * yarn_growth(rope, multiplier != 0 ? 10 * multiplier : 1);
  if (multiplier != 0) rope.attention_factor /= yarn_growth(rope, 1);
  return growth;
}

}  // namespace

Result<Mixers> LatentAttention::read(const Keys& keys, const ModelSizes& sizes, const LatentTraits& traits) {
  GGUF_FUSE_ASSIGN(const LatentParameters latent, read_parameters(keys));
  const HeadShape heads{.heads = latent.heads, .kv_heads = 1, .size = latent.rope + latent.kv_rank};
  Mixers mixers;
  GGUF_FUSE_ASSIGN(mixers.ropes, read_rope(keys, sizes, {.head = heads.size, .local_head = heads.size}));
  GGUF_FUSE_ASSIGN(const double growth, move_growth_to_scores(keys, *mixers.ropes.global));
  const auto key = static_cast<float>(latent.plain + latent.rope);
  GGUF_FUSE_ASSIGN(const float softcap, keys.amount("attn_logit_softcapping"));
  GGUF_FUSE_ASSIGN(const QueryScale query_scale, read_query_scale(keys, *mixers.ropes.global));
  for (std::size_t i = 0; i < sizes.layers; ++i) {
    mixers.blocks.push_back(std::make_unique<LatentAttention>(
        sizes, latent,
        AttentionParameters{.heads = heads,
                            .rope = traits.rope,
                            .angles = mixers.ropes.global,
                            .softcap = softcap,
                            .q_factor = 1 / std::sqrt(key) * static_cast<float>(growth * growth),
                            .query_scale = query_scale}));
  }
  return mixers;
}

}  // namespace gguf_fuse::runtime::detail
