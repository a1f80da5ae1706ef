// SPDX-License-Identifier: MIT
#include "blocks/rope.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace gguf_fuse::runtime::detail {
namespace {

Result<std::uint32_t> read_rotated(const Keys& keys, std::string_view key, std::uint32_t usual, std::uint32_t head) {
  GGUF_FUSE_ASSIGN(const std::uint32_t rotated, keys.size(key, usual));
  if (rotated <= head && rotated % 2 == 0) return rotated;
  return fail(keys.bad(ErrorCode::BadHyperparameter, key, fmt::format("an even number up to {}", head),
                       std::to_string(rotated)));
}

Result<void> read_scaling(const Keys& keys, std::uint32_t train_context, RopeParameters& rope) {
  GGUF_FUSE_ASSIGN(rope.base, keys.real("rope.freq_base"));
  const bool renamed = keys.find("rope.scaling.factor").has_value();
  GGUF_FUSE_ASSIGN(const double factor, keys.real(renamed ? "rope.scaling.factor" : "rope.scale_linear"));
  GGUF_FUSE_ASSIGN(const std::string_view type, keys.text_or("rope.scaling.type", "linear"));
  if (type != "none" && type != "linear" && type != "yarn" && type != "longrope") {
    return fail(keys.bad(ErrorCode::UnsupportedHyperparameter, "rope.scaling.type", "none, linear, yarn or longrope",
                         escape_text(type)));
  }
  if (rope.base <= 0 || factor < 0) {
    return fail(keys.bad(ErrorCode::BadHyperparameter, rope.base <= 0 ? "rope.freq_base" : "rope.scaling.factor",
                         "a positive number", fmt::format("{}", rope.base <= 0 ? rope.base : factor)));
  }
  rope.scale = factor == 0 || type == "none" ? 1 : 1 / factor;
  rope.yarn = type == "yarn";
  rope.two_sets_of_factors = type == "longrope";
  GGUF_FUSE_ASSIGN(const std::uint32_t original, keys.size("rope.scaling.original_context_length", train_context));
  rope.original_context = original;
  GGUF_FUSE_ASSIGN(rope.beta_fast, keys.real("rope.scaling.yarn_beta_fast"));
  GGUF_FUSE_ASSIGN(rope.beta_slow, keys.real("rope.scaling.yarn_beta_slow"));
  GGUF_FUSE_ASSIGN(rope.attention_factor, keys.real("rope.scaling.attn_factor"));
  return {};
}

/// NTK-aware scaling: the base of heads of D elements becomes base * alpha^(D / (D - 2)) (Hunyuan's own code).
Result<void> scale_base(const Keys& keys, std::uint32_t head, RopeParameters& rope) {
  constexpr std::string_view kAlpha = "rope.scaling.alpha";
  GGUF_FUSE_ASSIGN(const auto alpha, keys.amount(kAlpha));
  if (alpha == 0) return {};
  if (head <= 2) {
    return fail(keys.bad(ErrorCode::BadHyperparameter, kAlpha, fmt::format("0 with heads of {}", head),
                         fmt::format("{}", alpha)));
  }
  rope.base *= std::pow(static_cast<double>(alpha), head / (head - 2.0));
  return {};
}

/// Sections of M-RoPE: time, height, width and one more, in which text stays at position 0. They take turns pair by
/// pair, or follow one another; what is behind them begins again (ggml's ggml_rope_multi).
Result<std::vector<bool>> read_still_pairs(const Keys& keys, std::uint32_t pairs, bool in_turns) {
  constexpr std::string_view kKey = "rope.dimension_sections";
  if (!keys.find(kKey)) {
    GGUF_FUSE_CHECK(keys.fallback(kKey, 0));
    return std::vector<bool>();
  }
  GGUF_FUSE_ASSIGN(const auto sections, keys.numbers(kKey));
  std::uint64_t sum = 0;
  for (const std::uint64_t section : sections) sum += std::min(section, kLargestSize);
  if (!in_turns && sections.size() > 1 && (sections[0] == 0 || sections[1] == 0)) return std::vector<bool>();  // none
  if (sections.size() < 3 || sections.size() > 4 || sum == 0 || sum >= kLargestSize) {
    return fail(keys.bad(ErrorCode::BadHyperparameter, kKey, fmt::format("4 numbers, in all 1 to {}", kLargestSize),
                         fmt::format("{} numbers, in all {}", sections.size(), sum)));
  }
  std::vector<bool> still;
  for (std::uint64_t pair = 0; pair < pairs; ++pair) {
    const std::uint64_t sector = pair % sum;
    const std::uint64_t moving = sections[0] + sections[1] + sections[2];
    still.push_back(in_turns ? sector >= 3 * sections[sector % 3] : sector >= moving);
  }
  return still;
}

}  // namespace

Result<RopeSet> read_rope(const Keys& keys, const ModelSizes& sizes, const RopeTraits& traits) {
  RopeSet set{.global = std::make_shared<RopeParameters>(), .local = {}};
  RopeParameters& rope = *set.global;
  GGUF_FUSE_ASSIGN(rope.rotated, read_rotated(keys, "rope.dimension_count", traits.head, traits.head));
  GGUF_FUSE_CHECK(read_scaling(keys, sizes.train_context, rope));
  GGUF_FUSE_CHECK(scale_base(keys, traits.head, rope));
  GGUF_FUSE_ASSIGN(rope.still_pairs, read_still_pairs(keys, rope.rotated / 2, traits.interleaved_sections));

  set.local = std::make_shared<RopeParameters>(rope);
  RopeParameters& local = *set.local;
  GGUF_FUSE_ASSIGN(local.rotated, read_rotated(keys, "rope.dimension_count_swa", rope.rotated, traits.local_head));
  GGUF_FUSE_ASSIGN(local.base, keys.real("rope.freq_base_swa", rope.base));
  if (local.base <= 0) {
    return fail(keys.bad(ErrorCode::BadHyperparameter, "rope.freq_base_swa", "a positive number",
                         fmt::format("{}", local.base)));
  }
  if (traits.local_unscaled) {
    local.scale = 1;
    local.attention_factor = 1;
    local.yarn = false;
    local.factors = false;
  }
  return set;
}

double yarn_growth(const RopeParameters& rope, double multiplier) {
  return rope.scale >= 1 ? 1 : 1 + 0.1 * multiplier * std::log(1 / rope.scale);
}

float rope_magnitude(const RopeParameters& rope) {
  return static_cast<float>(rope.attention_factor * (rope.yarn ? yarn_growth(rope, 1) : 1));
}

std::vector<float> rope_frequencies(const RopeParameters& rope, std::span<const float> factors) {
  // The pair that turns `turns` times over the original context, as YaRN's formula (its section 3.2) gives it.
  const auto pair_of = [&](double turns) {
    return rope.rotated * std::log(rope.original_context / (turns * 2 * M_PI)) / (2 * std::log(rope.base));
  };
  const double low = std::max(0.0, std::floor(pair_of(rope.beta_fast)));
  const double high = std::min(rope.rotated - 1.0, std::ceil(pair_of(rope.beta_slow)));

  std::vector<float> frequencies;
  for (std::uint32_t i = 0; i < rope.rotated / 2; ++i) {
    double angle = std::pow(rope.base, -2.0 * i / rope.rotated);
    if (rope.factors && i < factors.size()) angle /= static_cast<double>(factors[i]);
    if (i < rope.still_pairs.size() && rope.still_pairs[i]) angle = 0;
    const double ramp = std::clamp((i - low) / std::max(0.001, high - low), 0.0, 1.0);
    const double unscaled = rope.yarn ? 1 - ramp : 0;
    frequencies.push_back(static_cast<float>(angle * rope.scale * (1 - unscaled) + angle * unscaled));
  }
  return frequencies;
}

}  // namespace gguf_fuse::runtime::detail
