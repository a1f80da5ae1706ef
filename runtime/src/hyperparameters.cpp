// SPDX-License-Identifier: MIT
#include "hyperparameters.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace gguf_fuse {
namespace {

// More than any model has, small enough that sums and products of sizes stay far from overflow.
constexpr std::uint64_t kMostLayers = 4096;
constexpr std::uint64_t kLargestSize = std::uint64_t{1} << 24;
// Twice of what the largest known heads have. Kernels hold rows of a head on the stack or in local memory.
constexpr std::uint32_t kLargestHead = 1024;

/// Keys below the architecture's name.
class Keys {
 public:
  Keys(const Metadata& metadata, std::string_view architecture, const std::string& path)
      : metadata_(metadata), prefix_(std::string(architecture) + "."), path_(path) {}

  [[nodiscard]] std::optional<Value> find(std::string_view key) const { return metadata_.find(name(key)); }
  [[nodiscard]] std::string name(std::string_view key) const { return prefix_ + std::string(key); }

  [[nodiscard]] Error bad(ErrorCode code, std::string_view key, std::string expected, std::string actual) const {
    return {.code = code,
            .path = path_,
            .subject = name(key),
            .expected = std::move(expected),
            .actual = std::move(actual)};
  }

  /// A size between 1 and kLargestSize.
  [[nodiscard]] Result<std::uint32_t> size(std::string_view key) const {
    GGUF_FUSE_ASSIGN(const std::uint64_t value, metadata_.get_unsigned(name(key)));
    return checked(key, value);
  }
  [[nodiscard]] Result<std::uint32_t> size_or(std::string_view key, std::uint64_t fallback) const {
    if (!find(key)) return checked(key, fallback);
    return size(key);
  }

  /// As size, or an array with one value a layer.
  [[nodiscard]] Result<std::vector<std::uint32_t>> per_layer(std::string_view key, std::size_t layers) const {
    const auto value = find(key);
    if (!value || value->type() != ValueType::Array) {
      GGUF_FUSE_ASSIGN(const std::uint32_t one, size(key));
      return std::vector<std::uint32_t>(layers, one);
    }
    GGUF_FUSE_ASSIGN(const auto values, metadata_.get_unsigned_array(name(key)));
    if (values.size() != layers) {
      return fail(bad(ErrorCode::BadHyperparameter, key, fmt::format("{} values, one a layer", layers),
                      std::to_string(values.size())));
    }
    std::vector<std::uint32_t> result;
    for (const std::uint64_t one : values) {
      GGUF_FUSE_ASSIGN(const std::uint32_t fits, checked(key, one));
      result.push_back(fits);
    }
    return result;
  }

  [[nodiscard]] Result<double> real_or(std::string_view key, double fallback) const {
    const auto value = find(key);
    if (!value) return fallback;
    const auto number = value->as_double();
    if (!number)
      return fail(bad(ErrorCode::WrongValueType, key, "a float", std::string(value_type_name(value->type()))));
    if (!std::isfinite(*number)) {
      return fail(bad(ErrorCode::BadHyperparameter, key, "a finite number", value->display()));
    }
    return *number;
  }

  /// As real_or, but not below 0.
  [[nodiscard]] Result<float> amount_or(std::string_view key, double fallback) const {
    GGUF_FUSE_ASSIGN(const double number, real_or(key, fallback));
    if (number >= 0) return static_cast<float>(number);
    return fail(bad(ErrorCode::BadHyperparameter, key, "a number of at least 0", fmt::format("{}", number)));
  }

 private:
  [[nodiscard]] Result<std::uint32_t> checked(std::string_view key, std::uint64_t value) const {
    if (value == 0 || value > kLargestSize) {
      return fail(bad(ErrorCode::BadHyperparameter, key, fmt::format("1 to {}", kLargestSize), std::to_string(value)));
    }
    return static_cast<std::uint32_t>(value);
  }

  const Metadata& metadata_;
  std::string prefix_;
  const std::string& path_;
};

Result<void> read_layers(const Keys& keys, Hyperparameters& result) {
  GGUF_FUSE_ASSIGN(const std::uint32_t count, keys.size("block_count"));
  if (count > kMostLayers) {
    return fail(keys.bad(ErrorCode::BadHyperparameter, "block_count", fmt::format("at most {}", kMostLayers),
                         std::to_string(count)));
  }
  GGUF_FUSE_ASSIGN(const auto heads, keys.per_layer("attention.head_count", count));
  auto kv_heads = heads;
  if (keys.find("attention.head_count_kv")) {
    GGUF_FUSE_ASSIGN(kv_heads, keys.per_layer("attention.head_count_kv", count));
  }
  GGUF_FUSE_ASSIGN(const auto feed_forward, keys.per_layer("feed_forward_length", count));
  GGUF_FUSE_ASSIGN(const std::uint32_t key_length, keys.size_or("attention.key_length", result.embedding / heads[0]));
  GGUF_FUSE_ASSIGN(const std::uint32_t value_length, keys.size_or("attention.value_length", key_length));
  if (value_length != key_length) {
    return fail(keys.bad(ErrorCode::UnsupportedHyperparameter, "attention.value_length",
                         fmt::format("{}, the keys' length", key_length), std::to_string(value_length)));
  }
  if (key_length > kLargestHead) {
    return fail(keys.bad(ErrorCode::UnsupportedHyperparameter, "attention.key_length",
                         fmt::format("at most {}", kLargestHead), std::to_string(key_length)));
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (heads[i] % kv_heads[i] != 0 || std::uint64_t{heads[i]} * key_length > kLargestSize) {
      return fail(keys.bad(ErrorCode::BadHyperparameter, "attention.head_count_kv",
                           fmt::format("a divisor of {} heads", heads[i]), std::to_string(kv_heads[i])));
    }
    result.layers.push_back(
        {.heads = {.heads = heads[i], .kv_heads = kv_heads[i], .size = key_length}, .feed_forward = feed_forward[i]});
  }
  return {};
}

/// Which layers see a window only: the file's own list or period, or the architecture's.
Result<void> read_windows(const Keys& keys, const Metadata& metadata, Hyperparameters& result) {
  std::uint64_t pattern = result.architecture->window_pattern;
  if (pattern == 0) return {};
  result.window = result.architecture->default_window;
  if (keys.find("attention.sliding_window")) {
    GGUF_FUSE_ASSIGN(const std::uint64_t window, metadata.get_unsigned(keys.name("attention.sliding_window")));
    result.window = static_cast<std::uint32_t>(std::min<std::uint64_t>(window, kLargestSize));
  }
  if (result.window == 0) return {};

  constexpr std::string_view kPattern = "attention.sliding_window_pattern";
  if (const auto value = keys.find(kPattern); value && value->type() == ValueType::Array) {
    if (value->count() < result.layers.size()) {
      return fail(keys.bad(ErrorCode::BadHyperparameter, kPattern, fmt::format("{} values", result.layers.size()),
                           std::to_string(value->count())));
    }
    auto element = value->elements();
    for (auto& layer : result.layers) {
      const Value one = *element;
      const std::optional<std::uint64_t> number = one.as_bool() ? std::uint64_t{*one.as_bool()} : one.as_unsigned();
      if (!number) {
        return fail(keys.bad(ErrorCode::WrongValueType, kPattern, "an array of booleans", value->display()));
      }
      layer.local = *number != 0;
      ++element;
    }
    return {};
  }
  if (const auto value = keys.find(kPattern)) {
    GGUF_FUSE_ASSIGN(pattern, metadata.get_unsigned(keys.name(kPattern)));
  }
  for (std::size_t i = 0; i < result.layers.size(); ++i) {
    result.layers[i].local = pattern == 0 || i % pattern + 1 < pattern;
  }
  return {};
}

Result<void> read_rope(const Keys& keys, const Metadata& metadata, Hyperparameters& result) {
  RopeParameters& rope = result.rope;
  GGUF_FUSE_ASSIGN(rope.rotated, keys.size_or("rope.dimension_count", result.layers[0].heads.size));
  if (rope.rotated > result.layers[0].heads.size || rope.rotated % 2 != 0) {
    return fail(keys.bad(ErrorCode::BadHyperparameter, "rope.dimension_count",
                         fmt::format("an even number up to {}", result.layers[0].heads.size),
                         std::to_string(rope.rotated)));
  }
  GGUF_FUSE_ASSIGN(rope.base, keys.real_or("rope.freq_base", 10000));
  GGUF_FUSE_ASSIGN(double factor, keys.real_or("rope.scale_linear", 0));
  GGUF_FUSE_ASSIGN(factor, keys.real_or("rope.scaling.factor", factor));
  std::string_view type = "linear";
  if (keys.find("rope.scaling.type")) {
    GGUF_FUSE_ASSIGN(type, metadata.get_string(keys.name("rope.scaling.type")));
  }
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
  GGUF_FUSE_ASSIGN(const std::uint32_t original,
                   keys.size_or("rope.scaling.original_context_length", result.train_context));
  rope.original_context = original;
  GGUF_FUSE_ASSIGN(rope.beta_fast, keys.real_or("rope.scaling.yarn_beta_fast", rope.beta_fast));
  GGUF_FUSE_ASSIGN(rope.beta_slow, keys.real_or("rope.scaling.yarn_beta_slow", rope.beta_slow));
  GGUF_FUSE_ASSIGN(rope.attention_factor, keys.real_or("rope.scaling.attn_factor", 1));

  result.local_rope = rope;
  const double local_base = result.architecture->local_rope_base;
  GGUF_FUSE_ASSIGN(result.local_rope.base, keys.real_or("rope.freq_base_swa", local_base > 0 ? local_base : rope.base));
  if (result.architecture->local_rope_unscaled) {
    result.local_rope.scale = 1;
    result.local_rope.yarn = false;
  }
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
  if (const auto experts = keys.find("expert_count"); experts && experts->as_unsigned().value_or(1) != 0) {
    return fail(
        keys.bad(ErrorCode::UnsupportedHyperparameter, "expert_count", "a model without experts", experts->display()));
  }
  GGUF_FUSE_ASSIGN(result.embedding, keys.size("embedding_length"));
  GGUF_FUSE_ASSIGN(result.train_context, keys.size("context_length"));
  GGUF_FUSE_CHECK(read_layers(keys, result));
  GGUF_FUSE_CHECK(read_windows(keys, metadata, result));
  GGUF_FUSE_CHECK(read_rope(keys, metadata, result));

  GGUF_FUSE_ASSIGN(result.epsilon, keys.amount_or("attention.layer_norm_rms_epsilon", 1e-5));
  GGUF_FUSE_ASSIGN(result.attention_softcap, keys.amount_or("attn_logit_softcapping", 0));
  GGUF_FUSE_ASSIGN(result.final_softcap, keys.amount_or("final_logit_softcapping", 0));
  if (result.architecture->scaled_embedding) {
    result.embedding_factor = std::sqrt(static_cast<float>(result.embedding));
  }
  const HeadShape& heads = result.layers[0].heads;
  const bool wide = result.architecture->wide_query_layers == result.layers.size();
  GGUF_FUSE_ASSIGN(const double scale,
                   keys.real_or("attention.scale", 1 / std::sqrt(wide ? result.embedding / heads.heads : heads.size)));
  result.q_factor = static_cast<float>(scale);
  return result;
}

RopeTable rope_table(const RopeParameters& rope, std::span<const float> factors) {
  // The pair that turns `turns` times over the original context, as YaRN's formula (its section 3.2) gives it.
  const auto pair_of = [&](double turns) {
    return rope.rotated * std::log(rope.original_context / (turns * 2 * M_PI)) / (2 * std::log(rope.base));
  };
  const double low = std::max(0.0, std::floor(pair_of(rope.beta_fast)));
  const double high = std::min(rope.rotated - 1.0, std::ceil(pair_of(rope.beta_slow)));

  RopeTable table;
  for (std::uint32_t i = 0; i < rope.rotated / 2; ++i) {
    double angle = std::pow(rope.base, -2.0 * i / rope.rotated);
    if (i < factors.size()) angle /= static_cast<double>(factors[i]);
    const double ramp = std::clamp((i - low) / std::max(0.001, high - low), 0.0, 1.0);
    const double unscaled = rope.yarn ? 1 - ramp : 0;
    table.frequencies.push_back(static_cast<float>(angle * rope.scale * (1 - unscaled) + angle * unscaled));
  }
  const double growth = rope.yarn ? 1 + 0.1 * std::log(1 / rope.scale) : 1;
  table.magnitude = static_cast<float>(rope.attention_factor * growth);
  return table;
}

}  // namespace gguf_fuse
