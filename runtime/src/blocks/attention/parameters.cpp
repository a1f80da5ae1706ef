// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "blocks/attention/core.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

// Twice of what the largest known heads have. Kernels hold rows of a head on the stack or in local memory.
constexpr std::uint32_t kLargestHead = 1024;

/// Which layers turn. llama.cpp's saver writes one number where all layers agree.
Result<std::vector<bool>> read_turns(const Keys& keys, std::size_t layers) {
  GGUF_FUSE_ASSIGN(const bool any, keys.flag("rope.scaling.finetuned", true));
  if (!any) return std::vector<bool>(layers, false);
  constexpr std::string_view kKey = "attention.rope_pattern";
  GGUF_FUSE_ASSIGN(auto listed, keys.flags(kKey, layers));
  if (listed) return std::move(*listed);
  const auto value = keys.find(kKey);
  if (!value) return std::vector<bool>(layers, true);
  const std::optional<std::uint64_t> same = value->as_bool() ? std::uint64_t{*value->as_bool()} : value->as_unsigned();
  if (!same) return fail(keys.bad(ErrorCode::WrongValueType, kKey, "an array of booleans", value->display()));
  return std::vector<bool>(layers, *same != 0);
}

/// Which layers see a window only, and how large it is (0: none is).
struct Windows {
  std::uint32_t size = 0;
  std::vector<bool> local;
};

/// The file's own list or period, or the architecture's.
Result<Windows> read_windows(const Keys& keys, const AttentionTraits& traits, std::size_t layers) {
  const bool has_windows = traits.window_layers == 0 || traits.window_layers == layers;
  std::uint64_t pattern = has_windows ? traits.window_pattern : 0;
  Windows windows{.local = std::vector<bool>(layers, false)};
  if (pattern == 0) return windows;
  GGUF_FUSE_ASSIGN(windows.size, keys.limit("attention.sliding_window"));
  constexpr std::string_view kPattern = "attention.sliding_window_pattern";
  const auto value = keys.find(kPattern);
  if (!value) GGUF_FUSE_CHECK(keys.fallback(kPattern, 0));
  if (traits.chunk != 0) {
    // llama.cpp ends on such files.
    if (windows.size == 0) {
      return fail(keys.bad(ErrorCode::UnsupportedHyperparameter, "attention.sliding_window", "more than 0", "0"));
    }
    windows.size = traits.chunk;
  }
  if (windows.size == 0) return windows;
  GGUF_FUSE_ASSIGN(auto listed, keys.flags(kPattern, layers));
  if (listed) {
    windows.local = std::move(*listed);
    return windows;
  }
  if (value) {
    GGUF_FUSE_ASSIGN(pattern, keys.limit(kPattern));
  }
  for (std::size_t i = 0; i < layers; ++i) {
    const std::size_t global = traits.global_first ? 0 : pattern - 1;
    windows.local[i] = pattern == 0 || i % pattern != global;
  }
  return windows;
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

struct Heads {
  std::vector<std::uint32_t> q, kv;  ///< a layer each
  std::uint32_t size = 0, local_size = 0;
};

Result<Heads> read_heads(const Keys& keys, const ModelSizes& sizes) {
  // Layers for speculation are counted in arrays, too.
  const std::size_t count = sizes.layers + sizes.next_token_layers;
  Heads heads;
  GGUF_FUSE_ASSIGN(heads.q, keys.per_layer("attention.head_count", count));
  heads.kv = heads.q;
  if (keys.find("attention.head_count_kv")) {
    GGUF_FUSE_ASSIGN(heads.kv, keys.per_layer("attention.head_count_kv", count));
  }
  GGUF_FUSE_ASSIGN(heads.size, read_head(keys, "", sizes.embedding / heads.q[0]));
  GGUF_FUSE_ASSIGN(heads.local_size, read_head(keys, "_swa", heads.size));
  GGUF_FUSE_CHECK(check_head(keys, "attention.key_length", std::max(heads.size, heads.local_size)));
  for (std::size_t i = 0; i < sizes.layers; ++i) {
    if (heads.q[i] % heads.kv[i] == 0 && std::uint64_t{heads.q[i]} * heads.size <= kLargestSize) continue;
    return fail(keys.bad(ErrorCode::BadHyperparameter, "attention.head_count_kv",
                         fmt::format("a divisor of {} heads", heads.q[i]), std::to_string(heads.kv[i])));
  }
  return heads;
}

/// The factor of queries, which are of layer 0 where heads differ.
Result<float> read_query_factor(const Keys& keys, const ModelSizes& sizes, const AttentionTraits& traits,
                                const HeadShape& heads) {
  const bool wide = traits.wide_query_layers == sizes.layers;
  const double size = wide ? sizes.embedding / heads.heads : heads.size;
  const auto own = static_cast<double>(traits.query_factor);
  GGUF_FUSE_ASSIGN(const double scale, keys.real("attention.scale"));
  const double usual = own > 0 ? own : 1 / std::sqrt(size);
  return static_cast<float>(scale != 0 ? scale : usual);
}

/// What YaRN makes up for in cos and sin is divided by the growth with a multiplier of the file's (Mistral 3).
Result<void> divide_growth(const Keys& keys, RopeSet& ropes) {
  GGUF_FUSE_ASSIGN(const double multiplier, keys.real("rope.scaling.yarn_log_multiplier"));
  if (multiplier == 0) return {};
  for (RopeParameters* const rope : {ropes.global.get(), ropes.local.get()}) {
    if (rope->yarn) rope->attention_factor /= yarn_growth(*rope, multiplier);
  }
  return {};
}

/// Models of another size than those with rotary embedding have ALiBi.
Result<void> check_rotary(const Keys& keys, const ModelSizes& sizes, const AttentionTraits& traits) {
  if (traits.rotary_layers == 0 || traits.rotary_layers == sizes.layers) return {};
  return fail(keys.bad(ErrorCode::UnsupportedHyperparameter, "block_count",
                       fmt::format("{}, as models with rotary embedding have", traits.rotary_layers),
                       std::to_string(sizes.layers)));
}

}  // namespace

Result<QueryScale> read_query_scale(const Keys& keys, const RopeParameters& rope) {
  GGUF_FUSE_ASSIGN(const double factor, keys.real("attention.temperature_scale"));
  if (factor == 0) return QueryScale{};
  QueryScale scale{.length = static_cast<std::uint32_t>(rope.original_context), .factor = static_cast<float>(factor)};
  constexpr std::string_view kLength = "attention.temperature_length";
  if (keys.reads(kLength)) {
    GGUF_FUSE_ASSIGN(scale.length, keys.size(kLength));
  }
  return scale;
}

Result<void> check_head(const Keys& keys, std::string_view key, std::uint32_t size) {
  if (size <= kLargestHead) return {};
  return fail(keys.bad(ErrorCode::UnsupportedHyperparameter, key, fmt::format("at most {}", kLargestHead),
                       std::to_string(size)));
}

Result<Mixers> Attention::read(const Keys& keys, const ModelSizes& sizes, const AttentionTraits& traits) {
  GGUF_FUSE_CHECK(check_rotary(keys, sizes, traits));
  GGUF_FUSE_ASSIGN(const std::vector<bool> turns, read_turns(keys, sizes.layers));
  GGUF_FUSE_ASSIGN(const Windows windows, read_windows(keys, traits, sizes.layers));
  GGUF_FUSE_ASSIGN(const Heads heads, read_heads(keys, sizes));
  Mixers mixers;
  GGUF_FUSE_ASSIGN(mixers.ropes, read_rope(keys, sizes,
                                           {.head = heads.size,
                                            .local_head = heads.local_size,
                                            .interleaved_sections = traits.interleaved_sections,
                                            .local_unscaled = traits.local_rope_unscaled}));
  GGUF_FUSE_CHECK(divide_growth(keys, mixers.ropes));
  const bool sections = !mixers.ropes.global->still_pairs.empty();
  const Rope rope = traits.neox_with_sections && sections ? Rope::Neox : traits.rope;
  const auto any = [&](bool local) {
    return std::find(windows.local.begin(), windows.local.end(), local) != windows.local.end();
  };
  mixers.ropes.factors_required = traits.global_rope_factors && any(false);
  GGUF_FUSE_ASSIGN(const float softcap, keys.amount("attn_logit_softcapping"));
  const auto shape = [&](std::size_t i) {
    return HeadShape{
        .heads = heads.q[i], .kv_heads = heads.kv[i], .size = windows.local[i] ? heads.local_size : heads.size};
  };
  GGUF_FUSE_ASSIGN(const float most, keys.amount("attention.clamp_kqv"));
  GGUF_FUSE_ASSIGN(const float q_factor, read_query_factor(keys, sizes, traits, shape(0)));
  GGUF_FUSE_ASSIGN(const QueryScale query_scale, read_query_scale(keys, *mixers.ropes.global));
  const QueryScale& own_scale = traits.still_query_scale;
  GGUF_FUSE_ASSIGN(const std::uint32_t experts, keys.count("expert_count"));
  const bool norm = traits.turned_norm && experts != traits.turned_norm_experts;
  for (std::size_t i = 0; i < sizes.layers; ++i) {
    const bool local = windows.local[i];
    const bool still = (traits.still_every != 0 && (i + 1) % traits.still_every == 0) ||
                       (traits.only_local_turn && !local && any(true)) || !turns[i];
    mixers.blocks.push_back(std::make_unique<Attention>(
        sizes, traits,
        AttentionParameters{.heads = shape(i),
                            .rope = still ? Rope::None : rope,
                            .angles = local ? mixers.ropes.local : mixers.ropes.global,
                            .local = local,
                            .window = local ? windows.size : 0,
                            .chunked = local && traits.chunk != 0,
                            .turned_norm = traits.turned_head_norm || (norm && !still),
                            .softcap = softcap,
                            .q_factor = q_factor,
                            .query_scale = still && own_scale.length != 0 ? own_scale : query_scale,
                            .most = most}));
  }
  return mixers;
}

}  // namespace gguf_fuse::runtime::detail
