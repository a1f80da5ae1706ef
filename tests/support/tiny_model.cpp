// SPDX-License-Identifier: MIT
#include "support/tiny_model.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>

#include "support/random.hpp"

namespace gguf_fuse::test_support {
namespace {

#include "support/tiny_model_table.inc"

constexpr std::uint64_t kSeed = 2026;
constexpr std::size_t kTextLength = 20;
constexpr std::uint64_t kVocabulary = 48;

// What every model has, unless its row says otherwise.
constexpr std::string_view kCommonKeys =
    "block_count=4 context_length=256 embedding_length=64 feed_forward_length=96 attention.head_count=4 "
    "attention.head_count_kv=2 vocab_size=48";
// Far larger than in real models, so that it counts.
constexpr std::string_view kCommonEpsilon = "attention.layer_norm_rms_epsilon=0.01";

using Group = std::pair<std::string_view, std::string_view>;
constexpr auto kGroups = std::to_array<Group>({
    {"@attention", "attn_norm attn_q attn_k attn_v attn_output"},
    {"@qkv", "attn_q attn_k attn_v attn_output"},
    {"@qkv_bias", "attn_q.bias attn_k.bias attn_v.bias"},
    {"@head_norms", "attn_q_norm attn_k_norm"},
    {"@gated", "ffn_gate ffn_up ffn_down"},
    {"@ungated", "ffn_up ffn_down"},
    {"@ungated_bias", "ffn_up.bias ffn_down.bias"},
    {"@experts", "ffn_gate_inp ffn_gate_exps ffn_up_exps ffn_down_exps"},
    {"@shared", "ffn_gate_shexp ffn_up_shexp ffn_down_shexp"},
    {"@post_norms", "post_attention_norm post_ffw_norm"},
    {"@delta", "attn_qkv[64,128] attn_gate ssm_conv1d[4,128] ssm_dt.bias[4] ssm_a![4] ssm_norm[16] ssm_out[64,64]"},
    {"@gated_queries", "attn_q[64,128] attn_k attn_v attn_output @head_norms"},
    {"@ends", "token_embd output_norm"},
});

[[noreturn]] void refuse(std::string_view word, std::string_view why) {
  throw std::invalid_argument("tiny model: " + std::string(word) + ": " + std::string(why));
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    if (end > 0) parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

template <typename T>
T number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) refuse(text, "not a number");
  return value;
}

std::vector<std::string_view> elements(std::string_view array) { return split(array.substr(1, array.size() - 2), ','); }

/// The keys of a row, as they are written and as numbers that sizes follow from.
class Keys {
 public:
  explicit Keys(const TinyModel& model) : prefix_(std::string(model.architecture()) + ".") {
    add(kCommonKeys);
    // One of the two kinds of norms; a row that names neither has RMS norms.
    if (model.keys.find("layer_norm_") == std::string_view::npos) add(kCommonEpsilon);
    add(model.keys);
  }

  void write(HeaderWriter& writer) const {
    for (const auto& [key, value] : values_) {
      const std::string name = key.starts_with('.') ? key.substr(1) : prefix_ + key;
      if (value.starts_with('[')) {
        write_array(writer, name, elements(value));
      } else if (value == "true" || value == "false") {
        writer.add_bool(name, value == "true");
      } else if (std::isdigit(static_cast<unsigned char>(value[0])) == 0 && value[0] != '-') {
        writer.add_string(name, value);
      } else if (value.find('.') != std::string_view::npos) {
        writer.add_f32(name, number<float>(value));
      } else {
        writer.add_u32(name, number<std::uint32_t>(value));
      }
    }
  }

  /// A number, or a layer's element of an array.
  [[nodiscard]] std::optional<std::uint64_t> find(const std::string& key, std::size_t layer) const {
    const auto found = values_.find(key);
    if (found == values_.end()) return std::nullopt;
    const std::string_view value = found->second;
    return number<std::uint64_t>(value.starts_with('[') ? elements(value).at(layer) : value);
  }
  [[nodiscard]] std::uint64_t get(const std::string& key, std::size_t layer) const {
    const auto found = find(key, layer);
    if (!found) refuse(key, "no such key");
    return *found;
  }

 private:
  void add(std::string_view words) {
    for (const std::string_view word : split(words, ' ')) {
      const std::size_t equals = word.find('=');
      if (equals == std::string_view::npos) refuse(word, "no value");
      values_[std::string(word.substr(0, equals))] = word.substr(equals + 1);
    }
  }

  static void write_array(HeaderWriter& writer, const std::string& name, const std::vector<std::string_view>& values) {
    if (values[0] == "true" || values[0] == "false") {
      const auto flags = std::make_unique<bool[]>(values.size());
      for (std::size_t i = 0; i < values.size(); ++i) flags[i] = values[i] == "true";
      return writer.add_bool_array(name, {flags.get(), values.size()});
    }
    if (values[0].find('.') != std::string_view::npos) {
      std::vector<float> floats;
      floats.reserve(values.size());
      for (const std::string_view value : values) floats.push_back(number<float>(value));
      return writer.add_f32_array(name, floats);
    }
    std::vector<std::int32_t> numbers;
    numbers.reserve(values.size());
    for (const std::string_view value : values) numbers.push_back(number<std::int32_t>(value));
    writer.add_i32_array(name, numbers);
  }

  std::string prefix_;
  std::map<std::string, std::string_view> values_;
};

/// The sizes that a layer's tensors have.
struct Sizes {
  Sizes(const Keys& keys, std::size_t layer)
      : embedding(keys.get("embedding_length", 0)),
        heads(keys.get("attention.head_count", layer)),
        kv_heads(keys.get("attention.head_count_kv", layer)),
        head(keys.find("attention.key_length", 0).value_or(embedding / keys.get("attention.head_count", 0))),
        value_head(keys.find("attention.value_length", 0).value_or(head)),
        feed_forward(keys.get("feed_forward_length", layer)),
        experts(keys.find("expert_count", 0).value_or(0)),
        expert(keys.find("expert_feed_forward_length", layer).value_or(feed_forward)),
        shared(keys.find("expert_shared_feed_forward_length", 0)
                   .value_or(expert * keys.find("expert_shared_count", 0).value_or(1))) {}

  std::uint64_t embedding, heads, kv_heads, head, value_head, feed_forward, experts, expert, shared;

  /// Of the weights whose name is `part`; those that are not here are as long as a token's row.
  [[nodiscard]] std::vector<std::uint64_t> of(std::string_view part) const {
    const std::uint64_t q = heads * head;
    const std::uint64_t k = kv_heads * head;
    const std::uint64_t v = kv_heads * value_head;
    const std::map<std::string_view, std::vector<std::uint64_t>> known = {
        {"token_embd", {embedding, kVocabulary}},
        {"output", {embedding, kVocabulary}},
        {"attn_q", {embedding, q}},
        {"attn_k", {embedding, k}},
        {"attn_v", {embedding, v}},
        {"attn_qkv", {embedding, q + k + v}},
        {"attn_gate", {embedding, q}},
        {"attn_output", {heads * value_head, embedding}},
        {"attn_q_norm", {head}},
        {"attn_k_norm", {head}},
        {"attn_sinks", {heads}},
        {"ffn_gate", {embedding, feed_forward}},
        {"ffn_up", {embedding, feed_forward}},
        {"ffn_down", {feed_forward, embedding}},
        {"ffn_gate_inp", {embedding, experts}},
        {"exp_probs_b", {experts}},
        {"ffn_gate_exps", {embedding, expert, experts}},
        {"ffn_up_exps", {embedding, expert, experts}},
        {"ffn_down_exps", {expert, embedding, experts}},
        {"ffn_gate_shexp", {embedding, shared}},
        {"ffn_up_shexp", {embedding, shared}},
        {"ffn_down_shexp", {shared, embedding}},
    };
    const auto found = known.find(part);
    return found != known.end() ? found->second : std::vector<std::uint64_t>{embedding};
  }
};

/// How a tensor's numbers are spread: `mean` plus or minus up to `reach`. Where mean is not 0 reach is a power of two:
/// the product is exact, and compilers that join it with the sum change nothing.
struct Spread {
  float mean = 0;
  float reach = 1;
};

Spread spread_of(std::string_view name, const std::vector<std::uint64_t>& dims) {
  const auto holds = [&](std::string_view part) { return name.find(part) != std::string_view::npos; };
  if (holds(".bias")) return {.mean = 0, .reach = 0.25F};
  if (holds("norm") || holds("scale")) return {.mean = 1, .reach = 0.25F};
  if (holds("rope_f")) return {.mean = 2, .reach = 1};
  if (name.ends_with("ssm_a")) return {.mean = -1, .reach = 0.5F};
  if (holds("token_embd") || holds("attn_sinks")) return {};
  // Sums of products of numbers whose mean square is 1 have that again. Scores and choices are made to differ more;
  // what feed-forwards add less, as llama.cpp looks GELU up in a table of halves.
  double gain = 1;
  if (holds("attn_q.") || holds("attn_k.") || holds("ffn_gate_inp.")) gain = 1.5;
  if (holds("ffn_down")) gain = 0.5;
  return {.mean = 0, .reach = static_cast<float>(gain * std::sqrt(3 / static_cast<double>(dims[0])))};
}

Bytes random_floats(std::string_view name, const std::vector<std::uint64_t>& dims) {
  std::uint64_t count = 1;
  for (const std::uint64_t size : dims) count *= size;
  const Spread spread = spread_of(name, dims);
  Random random(kSeed, name);
  std::vector<float> values;
  for (std::uint64_t i = 0; i < count; ++i) values.push_back(spread.mean + spread.reach * random.uniform());
  Bytes bytes(count * sizeof(float));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

/// Makes tensors of words.
class Tensors {
 public:
  explicit Tensors(const Keys& keys) : keys_(keys) {}

  void add(std::string_view words, const std::string& prefix, std::size_t layer) {
    for (const std::string_view word : split(words, ' ')) {
      const auto* const group =
          std::find_if(kGroups.begin(), kGroups.end(), [&](const auto& row) { return row.first == word; });
      if (group != kGroups.end()) {
        add(group->second, prefix, layer);
      } else {
        add_one(word, prefix, layer);
      }
    }
  }

  [[nodiscard]] const std::vector<TensorSpec>& specs() const { return specs_; }

 private:
  void add_one(std::string_view word, const std::string& prefix, std::size_t layer) {
    std::string_view name = word.substr(0, word.find('['));
    std::vector<std::uint64_t> dims;
    if (name.size() < word.size()) {
      for (const std::string_view size : elements(word.substr(name.size())))
        dims.push_back(number<std::uint64_t>(size));
    }
    const bool whole = name.ends_with('!');
    if (whole) name.remove_suffix(1);
    const std::size_t dot = name.find('.');
    if (dims.empty()) {
      dims = Sizes(keys_, layer).of(name.substr(0, dot));
      // A bias has a number for each row.
      if (name.ends_with(".bias") && dims.size() > 1) dims.erase(dims.begin());
    }
    const bool weight = !whole && dot == std::string_view::npos;
    TensorSpec spec{prefix + std::string(name) + (weight ? ".weight" : ""), "F32", dims};
    spec.data = random_floats(spec.name, dims);
    specs_.push_back(std::move(spec));
  }

  const Keys& keys_;
  std::vector<TensorSpec> specs_;
};

/// Whether "0,2-3,5-" names a layer.
bool selects(std::string_view selector, std::size_t layer) {
  const auto ranges = split(selector, ',');
  return std::any_of(ranges.begin(), ranges.end(), [&](std::string_view range) {
    const std::size_t dash = range.find('-');
    const auto first = number<std::size_t>(range.substr(0, dash));
    if (dash == std::string_view::npos) return layer == first;
    return layer >= first && (dash + 1 == range.size() || layer <= number<std::size_t>(range.substr(dash + 1)));
  });
}

}  // namespace

std::span<const TinyModel> tiny_models() { return kTinyModels; }

const TinyModel& tiny_model(std::string_view name) {
  const auto* const found = std::find_if(kTinyModels.begin(), kTinyModels.end(),
                                         [name](const TinyModel& model) { return model.name == name; });
  if (found == kTinyModels.end()) refuse(name, "no such model");
  return *found;
}

Bytes build_tiny_model(const TinyModel& model) {
  const Keys keys(model);
  Tensors tensors(keys);
  tensors.add(model.ends, "", 0);
  for (std::size_t layer = 0; layer < keys.get("block_count", 0); ++layer) {
    for (std::string_view words : split(model.layers, ';')) {
      if (const std::size_t colon = words.find(':'); colon != std::string_view::npos) {
        const std::string_view selector = words.substr(words.find_first_not_of(' '));
        if (!selects(selector.substr(0, selector.find(':')), layer)) continue;
        words.remove_prefix(colon + 1);
      }
      tensors.add(words, "blk." + std::to_string(layer) + ".", layer);
    }
  }
  GgufBuilder builder;
  builder.string("general.architecture", std::string(model.architecture()));
  builder.keys([&keys](HeaderWriter& writer) { keys.write(writer); });
  builder.string("tokenizer.ggml.model", "none");
  builder.tensors(tensors.specs());
  return builder.build();
}

std::vector<std::int32_t> tiny_text() {
  std::vector<std::int32_t> tokens;
  for (std::size_t i = 0; i < kTextLength; ++i) tokens.push_back(static_cast<std::int32_t>((7 * i + 3) % kVocabulary));
  return tokens;
}

}  // namespace gguf_fuse::test_support
