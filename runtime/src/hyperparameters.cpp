// SPDX-License-Identifier: MIT
#include "hyperparameters.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "hyperparameter_keys.hpp"
#include "rope.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

// More than any model has.
constexpr std::uint32_t kMostLayers = 4096;
// Twice of what the largest known heads have. Kernels hold rows of a head on the stack or in local memory.
constexpr std::uint32_t kLargestHead = 1024;

Result<void> count_layers(const Keys& keys, Hyperparameters& result) {
  GGUF_FUSE_ASSIGN(const std::uint32_t count, keys.size("block_count"));
  GGUF_FUSE_ASSIGN(result.next_token_layers, keys.count("nextn_predict_layers"));
  if (count > kMostLayers || result.next_token_layers >= count) {
    return fail(keys.bad(ErrorCode::BadHyperparameter, "block_count",
                         fmt::format("{} to {}", result.next_token_layers + 1, kMostLayers), std::to_string(count)));
  }
  result.layers.resize(count - result.next_token_layers);
  return {};
}

/// Which layers turn. llama.cpp's saver writes one number where all layers agree.
Result<void> read_turns(const Keys& keys, Hyperparameters& result) {
  constexpr std::string_view kKey = "attention.rope_pattern";
  GGUF_FUSE_ASSIGN(const auto listed, keys.flags(kKey, result.layers.size()));
  const auto value = keys.find(kKey);
  if (!value) return {};
  const std::optional<std::uint64_t> same = value->as_bool() ? std::uint64_t{*value->as_bool()} : value->as_unsigned();
  if (!listed && !same) {
    return fail(keys.bad(ErrorCode::WrongValueType, kKey, "an array of booleans", value->display()));
  }
  for (std::size_t i = 0; i < result.layers.size(); ++i) {
    result.layers[i].turns = listed ? (*listed)[i] : *same != 0;
  }
  return {};
}

/// Which layers see a window only: the file's own list or period, or the architecture's.
Result<void> read_windows(const Keys& keys, Hyperparameters& result) {
  std::uint64_t pattern = result.architecture->window_pattern;
  if (pattern == 0) return {};
  GGUF_FUSE_ASSIGN(result.window, keys.limit("attention.sliding_window"));
  constexpr std::string_view kPattern = "attention.sliding_window_pattern";
  const auto value = keys.find(kPattern);
  if (!value) GGUF_FUSE_CHECK(keys.fallback(kPattern, 0));
  if (result.window == 0) return {};
  GGUF_FUSE_ASSIGN(const auto listed, keys.flags(kPattern, result.layers.size()));
  if (value && !listed) {
    GGUF_FUSE_ASSIGN(pattern, keys.limit(kPattern));
  }
  for (std::size_t i = 0; i < result.layers.size(); ++i) {
    result.layers[i].local = listed ? (*listed)[i] : pattern == 0 || i % pattern + 1 < pattern;
  }
  return {};
}

/// A head's size, from its key and the same key of values.
Result<std::uint32_t> read_head(const Keys& keys, std::string_view suffix, std::uint32_t derived) {
  const std::string key = fmt::format("attention.key_length{}", suffix);
  const std::string value = fmt::format("attention.value_length{}", suffix);
  GGUF_FUSE_ASSIGN(const std::uint32_t size, keys.size(key, derived));
  GGUF_FUSE_ASSIGN(const std::uint32_t value_size, keys.size(value, derived));
  if (value_size != size) {
    return fail(keys.bad(ErrorCode::UnsupportedHyperparameter, value, fmt::format("{}, the keys' length", size),
                         std::to_string(value_size)));
  }
  return size;
}

Result<void> check_head(const Keys& keys, std::string_view key, std::uint32_t size) {
  if (size <= kLargestHead) return {};
  return fail(keys.bad(ErrorCode::UnsupportedHyperparameter, key, fmt::format("at most {}", kLargestHead),
                       std::to_string(size)));
}

Result<void> read_heads(const Keys& keys, Hyperparameters& result) {
  // Layers for speculation are counted in arrays, too.
  const std::size_t count = result.layers.size() + result.next_token_layers;
  GGUF_FUSE_ASSIGN(const auto heads, keys.per_layer("attention.head_count", count));
  auto kv_heads = heads;
  if (keys.find("attention.head_count_kv")) {
    GGUF_FUSE_ASSIGN(kv_heads, keys.per_layer("attention.head_count_kv", count));
  }
  GGUF_FUSE_ASSIGN(const std::uint32_t size, read_head(keys, "", result.embedding / heads[0]));
  GGUF_FUSE_ASSIGN(const std::uint32_t local_size, read_head(keys, "_swa", size));
  GGUF_FUSE_CHECK(check_head(keys, "attention.key_length", std::max(size, local_size)));
  for (std::size_t i = 0; i < result.layers.size(); ++i) {
    LayerParameters& layer = result.layers[i];
    if (heads[i] % kv_heads[i] != 0 || std::uint64_t{heads[i]} * size > kLargestSize) {
      return fail(keys.bad(ErrorCode::BadHyperparameter, "attention.head_count_kv",
                           fmt::format("a divisor of {} heads", heads[i]), std::to_string(kv_heads[i])));
    }
    layer.heads = {.heads = heads[i], .kv_heads = kv_heads[i], .size = layer.local ? local_size : size};
  }
  return read_rope(keys, size, local_size, result);
}

/// Latent attention: what a head caches is its turned part and the compressed vector, which all heads share.
Result<void> read_latent(const Keys& keys, Hyperparameters& result) {
  LatentParameters& latent = result.latent;
  GGUF_FUSE_ASSIGN(const std::uint32_t heads, keys.size("attention.head_count"));
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
  // Products that take a head's columns each read whole groups of them and write whole tiles of rows.
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
  const HeadShape shape{.heads = heads, .kv_heads = 1, .size = latent.rope + latent.kv_rank};
  GGUF_FUSE_CHECK(check_head(keys, "attention.kv_lora_rank", shape.size));
  if (std::uint64_t{heads} * std::max(key, shape.size) > kLargestSize) {
    return fail(keys.bad(ErrorCode::BadHyperparameter, "attention.head_count", "fewer", std::to_string(heads)));
  }
  for (LayerParameters& layer : result.layers) layer.heads = shape;
  result.q_factor = static_cast<float>(1 / std::sqrt(key));
  return read_rope(keys, shape.size, shape.size, result);
}

Result<Gating> read_gating(const Keys& keys, Gating fallback) {
  // llama.cpp's numbers (src/llama-hparams.h); 4 is a function of an architecture that is none of ours.
  constexpr std::string_view kKey = "expert_gating_func";
  GGUF_FUSE_ASSIGN(const std::uint32_t number, keys.count(kKey));
  constexpr std::array kGatings = {Gating::Softmax, Gating::Sigmoid, Gating::SelectedSoftmax};
  if (number == 0) return fallback;
  if (number <= kGatings.size()) return kGatings[number - 1];
  return fail(keys.bad(ErrorCode::UnsupportedHyperparameter, kKey, "1 to 3", std::to_string(number)));
}

Result<void> read_router(const Keys& keys, std::uint32_t experts, Hyperparameters& result) {
  RouterShape& router = result.experts.router;
  router.experts = experts;
  GGUF_FUSE_ASSIGN(router.used, keys.size("expert_used_count"));
  if (experts > kMostExperts || router.used > std::min(experts, kMostUsed)) {
    const bool too_many = experts > kMostExperts;
    return fail(keys.bad(ErrorCode::UnsupportedHyperparameter, too_many ? "expert_count" : "expert_used_count",
                         fmt::format("at most {}", too_many ? kMostExperts : std::min(experts, kMostUsed)),
                         std::to_string(too_many ? experts : router.used)));
  }
  GGUF_FUSE_ASSIGN(router.gating, read_gating(keys, result.architecture->gating));
  GGUF_FUSE_ASSIGN(router.normalise, keys.flag_or("expert_weights_norm", result.architecture->normalised_experts));
  GGUF_FUSE_ASSIGN(router.scale, keys.factor_or_one("expert_weights_scale"));
  GGUF_FUSE_ASSIGN(router.groups, keys.count("expert_group_count"));
  if (router.groups <= 1) {
    router.groups = router.groups_used = 1;
  } else {
    GGUF_FUSE_ASSIGN(router.groups_used, keys.size("expert_group_used_count"));
  }
  const std::uint32_t in_groups = router.groups_used * (experts / router.groups);
  if (experts % router.groups != 0 || router.groups_used > router.groups || in_groups < router.used) {
    return fail(
        keys.bad(ErrorCode::BadHyperparameter, "expert_group_count",
                 fmt::format("groups of {} experts, {} of which hold {}", experts, router.groups_used, router.used),
                 std::to_string(router.groups)));
  }
  return {};
}

/// Sizes of an expert and, as the result, of what every token sees beside them. In both keys 0 means none given.
Result<std::uint32_t> read_expert_sizes(const Keys& keys, std::uint32_t dense, Hyperparameters& result) {
  constexpr std::string_view kSize = "expert_feed_forward_length";
  constexpr std::string_view kShared = "expert_shared_feed_forward_length";
  std::uint32_t& size = result.experts.feed_forward;
  GGUF_FUSE_ASSIGN(size, keys.count(kSize, 0));
  if (size == 0) size = keys.reads(kSize) ? dense / result.experts.router.used : dense;
  if (size == 0) return fail(keys.missing(dense == 0 ? "feed_forward_length" : kSize));
  if (!keys.reads(kShared)) {
    GGUF_FUSE_ASSIGN(const std::uint32_t count, keys.count("expert_shared_count"));
    const std::uint64_t together = std::uint64_t{count} * size;
    if (together <= kLargestSize) return static_cast<std::uint32_t>(together);
    return fail(keys.bad(ErrorCode::BadHyperparameter, "expert_shared_count",
                         fmt::format("at most {}", kLargestSize / size), std::to_string(count)));
  }
  GGUF_FUSE_ASSIGN(const std::uint32_t shared, keys.count(kShared, 0));
  if (shared != 0) return shared;
  GGUF_FUSE_ASSIGN(const double usual, keys.fallback(kShared, dense));
  return static_cast<std::uint32_t>(usual);
}

Result<void> read_feed_forward(const Keys& keys, Hyperparameters& result) {
  GGUF_FUSE_ASSIGN(const std::uint32_t experts, keys.count("expert_count"));
  std::vector<std::uint32_t> dense(result.layers.size() + result.next_token_layers, 0);
  if (experts == 0 || keys.find("feed_forward_length")) {
    GGUF_FUSE_ASSIGN(dense, keys.per_layer("feed_forward_length", dense.size()));
  }
  std::uint32_t leading = 0;
  std::uint32_t shared = 0;
  if (experts > 0) {
    GGUF_FUSE_CHECK(read_router(keys, experts, result));
    GGUF_FUSE_ASSIGN(shared, read_expert_sizes(keys, dense.front(), result));
    GGUF_FUSE_ASSIGN(leading, keys.count("leading_dense_block_count"));
  }
  for (std::size_t i = 0; i < result.layers.size(); ++i) {
    LayerParameters& layer = result.layers[i];
    layer.experts = experts > 0 && i >= leading;
    const bool all = !layer.experts || result.architecture->dense_beside_experts;
    layer.feed_forward = all ? dense[i] : shared;
    if (all && layer.feed_forward == 0) return fail(keys.missing("feed_forward_length"));
  }
  return {};
}

/// What some models of an architecture have and the kernels do not compute.
Result<void> refuse_others(const Keys& keys) {
  for (const std::string_view key : {"attention.shared_kv_layers", "embedding_length_per_layer_input"}) {
    GGUF_FUSE_ASSIGN(const std::uint32_t value, keys.count(key));
    if (value != 0) return fail(keys.bad(ErrorCode::UnsupportedHyperparameter, key, "0", std::to_string(value)));
  }
  constexpr std::string_view kTemperature = "attention.temperature_scale";
  GGUF_FUSE_ASSIGN(const double scale, keys.real(kTemperature));
  if (scale == 0) return {};
  return fail(keys.bad(ErrorCode::UnsupportedHyperparameter, kTemperature, "0", fmt::format("{}", scale)));
}

Result<void> read_factors(const Keys& keys, Hyperparameters& result) {
  const Architecture& architecture = *result.architecture;
  GGUF_FUSE_ASSIGN(result.epsilon, keys.amount("attention.layer_norm_rms_epsilon"));
  GGUF_FUSE_ASSIGN(result.attention_softcap, keys.amount("attn_logit_softcapping"));
  GGUF_FUSE_ASSIGN(result.final_softcap, keys.amount("final_logit_softcapping"));
  if (architecture.scaled_embedding) result.embedding_factor = std::sqrt(static_cast<float>(result.embedding));
  if (architecture.granite_scales) {
    GGUF_FUSE_ASSIGN(result.embedding_factor, keys.factor_or_one("embedding_scale"));
    GGUF_FUSE_ASSIGN(result.residual_factor, keys.factor_or_one("residual_scale"));
    GGUF_FUSE_ASSIGN(const float logits, keys.factor_or_one("logit_scale"));
    result.logit_factor = 1 / logits;
  }
  if (architecture.latent_attention) return {};
  const HeadShape& heads = result.layers[0].heads;
  const bool wide = architecture.wide_query_layers == result.layers.size();
  const double size = wide ? result.embedding / heads.heads : heads.size;
  const auto own = static_cast<double>(architecture.query_factor);
  GGUF_FUSE_ASSIGN(const double scale, keys.real("attention.scale"));
  const double usual = own > 0 ? own : 1 / std::sqrt(size);
  result.q_factor = static_cast<float>(scale != 0 ? scale : usual);
  return {};
}

}  // namespace

Result<Hyperparameters> read_hyperparameters(const Metadata& metadata, const std::string& path) {
  GGUF_FUSE_ASSIGN(const std::string_view name, metadata.get_string("general.architecture"));
  Hyperparameters result{.architecture = find_runnable(name)};
  if (result.architecture == nullptr) {
    std::string known;
    for (const auto& row : runnable_architectures()) known += (known.empty() ? "" : ", ") + std::string(row.name);
    return fail({.code = ErrorCode::UnsupportedArchitecture,
                 .path = path,
                 .subject = "general.architecture",
                 .expected = known,
                 .actual = escape_text(name)});
  }
  const Keys keys(metadata, name, path);
  GGUF_FUSE_ASSIGN(result.embedding, keys.size("embedding_length"));
  GGUF_FUSE_ASSIGN(result.train_context, keys.size("context_length"));
  GGUF_FUSE_CHECK(refuse_others(keys));
  GGUF_FUSE_CHECK(count_layers(keys, result));
  GGUF_FUSE_CHECK(read_turns(keys, result));
  GGUF_FUSE_CHECK(read_windows(keys, result));
  GGUF_FUSE_CHECK(result.architecture->latent_attention ? read_latent(keys, result) : read_heads(keys, result));
  GGUF_FUSE_CHECK(read_feed_forward(keys, result));
  GGUF_FUSE_CHECK(read_factors(keys, result));
  return result;
}

}  // namespace gguf_fuse::runtime::detail
