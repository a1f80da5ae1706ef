// SPDX-License-Identifier: MIT
#include "support/model_shape.hpp"

#include <algorithm>
#include <array>
#include <span>

namespace gguf_fuse::test_support {
namespace {

/// Of the heads of a delta net, whatever those of attention are.
constexpr std::uint32_t kStateSize = 16;

/// What tells architectures apart, as far as fusing or loading them is concerned.
enum Trait : std::uint32_t {
  kMixture = 1U << 0,  // experts even when nobody asks
  kQkNorm = 1U << 1,
  kQkvBias = 1U << 2,
  kOutputBias = 1U << 3,  // attn_output.bias
  kExpertBias = 1U << 4,  // on router and experts
  kSinks = 1U << 5,
  kGatedQueries = 1U << 6,     // Q has a gate beside each head
  kRecurrent = 1U << 7,        // three layers of four are linear attention, with an attn_qkv by design
  kSharedExpert = 1U << 8,     // with a gate of its own
  kPostNorms = 1U << 9,        // a norm behind attention and one behind the FFN
  kPostForFfn = 1U << 10,      // the norm behind attention takes the place of ffn_norm
  kDenseBeside = 1U << 11,     // a dense FFN beside the experts
  kSlidingPattern = 1U << 12,  // a sliding window with an array that says where
  kWideGlobal = 1U << 13,      // layers without the window have heads twice as large
  kUntied = 1U << 14,          // output.weight is required
  kFusedByDesign = 1U << 15,   // attn_qkv and a doubled ffn_up
  kSections = 1U << 16,        // M-RoPE
  kBiasedChoice = 1U << 17,    // experts chosen with a bias, a shared one without a gate, no experts in the first layer
  kLatent = 1U << 18,          // keys and values made of one compressed vector
};

struct Architecture {
  std::string_view name;
  std::uint32_t traits;
  std::string_view expert_type;  // where it is not the one of the other matrices
};

// llama.cpp loads all of these (tests/peers/run.sh).
constexpr std::array kArchitectures = {
    Architecture{"llama", 0, ""},
    Architecture{"qwen2", kQkvBias, ""},
    Architecture{"qwen2moe", kMixture | kQkvBias | kSharedExpert | kUntied, ""},
    Architecture{"qwen3", kQkNorm, ""},
    Architecture{"qwen3moe", kMixture | kQkNorm, ""},
    Architecture{"qwen3vl", kQkNorm | kSections, ""},
    Architecture{"qwen3vlmoe", kMixture | kQkNorm | kSections, ""},
    Architecture{"qwen35moe", kMixture | kQkNorm | kGatedQueries | kRecurrent | kSharedExpert | kPostForFfn, ""},
    Architecture{"gpt-oss", kMixture | kQkvBias | kOutputBias | kExpertBias | kSinks | kPostForFfn | kUntied, "MXFP4"},
    Architecture{"gemma3", kQkNorm | kPostNorms, ""},
    Architecture{"gemma4", kMixture | kQkNorm | kPostNorms | kDenseBeside | kSlidingPattern | kWideGlobal, ""},
    Architecture{"granite_swa", kMixture | kSinks | kSlidingPattern, ""},
    Architecture{"glm4moe", kMixture | kQkvBias | kQkNorm | kPostForFfn | kUntied | kBiasedChoice, ""},
    Architecture{"deepseek2", kMixture | kUntied | kBiasedChoice | kLatent, ""},
    Architecture{"phi3", kFusedByDesign, ""},
};

const Architecture& find_row(std::string_view name) {
  const auto* found = std::find_if(kArchitectures.begin(), kArchitectures.end(),
                                   [name](const Architecture& row) { return row.name == name; });
  return found != kArchitectures.end() ? *found : kArchitectures.front();
}

/// Every fourth layer is of the other kind, counted from the end so that even one layer has attention.
bool is_global(const ModelShape& shape, std::uint32_t layer) { return (shape.layers - 1 - layer) % 4 == 0; }

/// The layers without experts that a mixture begins with.
std::uint32_t leading_dense(const ModelShape& shape, std::uint32_t traits) {
  return shape.experts != 0 && shape.layers > 1 && (traits & kBiasedChoice) != 0 ? 1 : 0;
}

/// Latent attention keeps its own sizes small and legal, whatever the heads are: the part of a head that turns is
/// head_size, and its values have a whole tile of rows.
struct LatentSizes {
  explicit LatentSizes(const ModelShape& shape)
      : rank(shape.embedding), key(shape.embedding + shape.head_size), value(16), turned(shape.head_size) {}
  std::uint64_t rank;  // of Q, and of keys and values
  std::uint64_t key;   // of a head, what turns included
  std::uint64_t value;
  std::uint64_t turned;
};

/// Builds the table layer by layer.
class Table {
 public:
  explicit Table(const ModelShape& shape) : shape_(shape), row_(find_row(shape.architecture)) {}

  std::vector<TensorSpec> build() {
    matrix("token_embd.weight", {shape_.embedding, shape_.vocabulary});
    for (layer_ = 0; layer_ < shape_.layers; ++layer_) {
      prefix_ = "blk." + std::to_string(layer_) + ".";
      add_attention();
      const bool experts = shape_.experts != 0 && layer_ >= leading_dense(shape_, row_.traits);
      if (experts) add_experts();
      if (!experts || has(kDenseBeside)) add_dense();
      if (has(kPostNorms)) vector("post_ffw_norm.weight", shape_.embedding);
    }
    prefix_.clear();
    vector("output_norm.weight", shape_.embedding);
    if (has(kUntied)) matrix("output.weight", {shape_.embedding, shape_.vocabulary});
    if (has(kWideGlobal)) vector("rope_freqs.weight", shape_.head_size);
    return std::move(specs_);
  }

 private:
  [[nodiscard]] bool has(Trait trait) const { return (row_.traits & trait) != 0; }

  void add(std::string_view name, std::string_view type, std::vector<std::uint64_t> dims) {
    specs_.push_back({prefix_ + std::string(name), std::string(type), std::move(dims)});
  }
  void vector(std::string_view name, std::uint64_t size) { add(name, "F32", {size}); }
  void matrix(std::string_view name, std::vector<std::uint64_t> dims, std::string_view type = "") {
    if (type.empty()) type = shape_.matrix_type;
    const TensorType* row = find_tensor_type(type);
    const bool fits = row != nullptr && dims[0] % row->block_elements == 0 && dims[1] % row->rows_per_group == 0;
    add(name, row != nullptr && !fits ? "F16" : type, std::move(dims));
  }

  void add_attention() {
    const std::uint64_t head = shape_.head_size * (has(kWideGlobal) && is_global(shape_, layer_) ? 2 : 1);
    const std::uint64_t value = shape_.value_size != 0 ? shape_.value_size : head;
    const std::uint64_t kv_heads =
        shape_.kv_heads_by_layer.empty() ? shape_.kv_heads : shape_.kv_heads_by_layer[layer_];
    vector("attn_norm.weight", shape_.embedding);
    if (has(kRecurrent) && !is_global(shape_, layer_)) {
      add_recurrent();
    } else if (has(kLatent)) {
      add_latent();
    } else {
      const std::uint64_t queries = head * shape_.heads * (has(kGatedQueries) ? 2 : 1);
      add_qkv(queries, head * kv_heads, value * kv_heads);
      if (has(kQkNorm)) vector("attn_q_norm.weight", head);
      if (has(kQkNorm)) vector("attn_k_norm.weight", head);
      if (has(kSinks)) vector("attn_sinks.weight", shape_.heads);
      matrix("attn_output.weight", {value * shape_.heads, shape_.embedding});
      if (has(kOutputBias)) vector("attn_output.bias", shape_.embedding);
    }
    if (has(kPostForFfn) || has(kPostNorms)) vector("post_attention_norm.weight", shape_.embedding);
    if (!has(kPostForFfn)) vector("ffn_norm.weight", shape_.embedding);
  }

  void add_qkv(std::uint64_t q, std::uint64_t k, std::uint64_t v) {
    if (has(kFusedByDesign)) {
      matrix("attn_qkv.weight", {shape_.embedding, q + k + v});
      return;
    }
    const std::array<std::pair<std::string, std::uint64_t>, 3> parts{{{"attn_q", q}, {"attn_k", k}, {"attn_v", v}}};
    for (const auto& [part, rows] : parts) {
      matrix(part + ".weight", {shape_.embedding, rows});
      if (has(kQkvBias)) vector(part + ".bias", rows);
    }
  }

  /// A gated delta net: as many key heads as the attention has, as many value heads as it has query heads.
  void add_recurrent() {
    const std::uint64_t keys = kStateSize * shape_.kv_heads;
    const std::uint64_t values = kStateSize * shape_.heads;
    matrix("attn_qkv.weight", {shape_.embedding, 2 * keys + values});
    matrix("attn_gate.weight", {shape_.embedding, values});
    add("ssm_conv1d.weight", "F32", {4, 2 * keys + values});
    vector("ssm_dt.bias", shape_.heads);
    vector("ssm_a", shape_.heads);
    matrix("ssm_beta.weight", {shape_.embedding, shape_.heads});
    matrix("ssm_alpha.weight", {shape_.embedding, shape_.heads});
    vector("ssm_norm.weight", kStateSize);
    matrix("ssm_out.weight", {values, shape_.embedding});
  }

  /// Multi-head latent attention with its projections absorbed, as DeepSeek's converters write it.
  void add_latent() {
    const LatentSizes sizes(shape_);
    matrix("attn_q_a.weight", {shape_.embedding, sizes.rank});
    vector("attn_q_a_norm.weight", sizes.rank);
    matrix("attn_q_b.weight", {sizes.rank, sizes.key * shape_.heads});
    matrix("attn_kv_a_mqa.weight", {shape_.embedding, sizes.rank + sizes.turned});
    vector("attn_kv_a_norm.weight", sizes.rank);
    matrix("attn_k_b.weight", {sizes.key - sizes.turned, sizes.rank, shape_.heads});
    matrix("attn_v_b.weight", {sizes.rank, sizes.value, shape_.heads});
    matrix("attn_output.weight", {sizes.value * shape_.heads, shape_.embedding});
  }

  void add_experts() {
    const std::uint64_t hidden = shape_.expert_feed_forward();
    const std::uint64_t count = shape_.experts;
    add("ffn_gate_inp.weight", "F32", {shape_.embedding, count});
    if (has(kExpertBias)) vector("ffn_gate_inp.bias", count);
    for (const std::string part : {"ffn_gate_exps", "ffn_up_exps"}) {
      matrix(part + ".weight", {shape_.embedding, hidden, count}, row_.expert_type);
      if (has(kExpertBias)) add(part + ".bias", "F32", {hidden, count});
    }
    matrix("ffn_down_exps.weight", {hidden, shape_.embedding, count}, row_.expert_type);
    if (has(kExpertBias)) add("ffn_down_exps.bias", "F32", {shape_.embedding, count});
    if (has(kBiasedChoice)) vector("exp_probs_b.bias", count);
    if (has(kSharedExpert)) vector("ffn_gate_inp_shexp.weight", shape_.embedding);
    if (has(kSharedExpert) || has(kBiasedChoice)) {
      matrix("ffn_gate_shexp.weight", {shape_.embedding, hidden});
      matrix("ffn_up_shexp.weight", {shape_.embedding, hidden});
      matrix("ffn_down_shexp.weight", {hidden, shape_.embedding});
    }
    if (has(kDenseBeside)) {
      vector("ffn_gate_inp.scale", shape_.embedding);
      vector("ffn_down_exps.scale", count);
      for (const char* norm : {"pre_ffw_norm_2", "post_ffw_norm_1", "post_ffw_norm_2"}) {
        vector(std::string(norm) + ".weight", shape_.embedding);
      }
    }
  }

  void add_dense() {
    if (!has(kFusedByDesign)) matrix("ffn_gate.weight", {shape_.embedding, shape_.feed_forward});
    matrix("ffn_up.weight", {shape_.embedding, shape_.feed_forward * (has(kFusedByDesign) ? 2 : 1)});
    matrix("ffn_down.weight", {shape_.feed_forward, shape_.embedding});
  }

  const ModelShape& shape_;
  const Architecture& row_;
  std::uint32_t layer_ = 0;
  std::string prefix_;
  std::vector<TensorSpec> specs_;
};

/// Writes keys below the architecture's name.
class Keys {
 public:
  Keys(const ModelShape& shape, HeaderWriter& writer) : prefix_(shape.architecture + "."), writer_(writer) {}
  void u32(std::string_view key, std::uint64_t value) { writer_.add_u32(name(key), static_cast<std::uint32_t>(value)); }
  void f32(std::string_view key, float value) { writer_.add_f32(name(key), value); }
  [[nodiscard]] std::string name(std::string_view key) const { return prefix_ + std::string(key); }

 private:
  std::string prefix_;
  HeaderWriter& writer_;
};

void write_attention_keys(const ModelShape& shape, std::uint32_t traits, Keys& keys, HeaderWriter& writer) {
  const bool wide_global = (traits & kWideGlobal) != 0;
  keys.u32("attention.head_count", shape.heads);
  if (shape.kv_heads_by_layer.empty()) {
    keys.u32("attention.head_count_kv", shape.kv_heads);
  } else {
    writer.add_u32_array(keys.name("attention.head_count_kv"), shape.kv_heads_by_layer);
  }
  keys.f32("attention.layer_norm_rms_epsilon", 1e-5F);
  keys.u32("attention.key_length", shape.head_size * (wide_global ? 2 : 1));
  keys.u32("attention.value_length", shape.value_head() * (wide_global && shape.value_size == 0 ? 2 : 1));
  keys.u32("rope.dimension_count", shape.head_size * (wide_global ? 2 : 1));
  if (wide_global) {
    keys.u32("attention.key_length_swa", shape.head_size);
    keys.u32("attention.value_length_swa", shape.value_head());
    keys.u32("rope.dimension_count_swa", shape.head_size);
    keys.u32("embedding_length_per_layer_input", 0);
  }
  const std::uint64_t window = (traits & (kSlidingPattern | kSinks)) != 0 ? 32 : 0;
  if (shape.window + window != 0) keys.u32("attention.sliding_window", shape.window != 0 ? shape.window : window);
  if ((traits & kSlidingPattern) != 0) {
    const auto pattern = std::make_unique<bool[]>(shape.layers);
    for (std::uint32_t layer = 0; layer < shape.layers; ++layer) pattern[layer] = !is_global(shape, layer);
    writer.add_bool_array(keys.name("attention.sliding_window_pattern"), {pattern.get(), shape.layers});
  }
}

void write_latent_keys(const ModelShape& shape, Keys& keys) {
  const LatentSizes sizes(shape);
  keys.u32("attention.head_count", shape.heads);
  keys.u32("attention.head_count_kv", 1);
  keys.f32("attention.layer_norm_rms_epsilon", 1e-5F);
  keys.u32("attention.key_length", sizes.rank + sizes.turned);
  keys.u32("attention.value_length", sizes.rank);
  keys.u32("attention.q_lora_rank", sizes.rank);
  keys.u32("attention.kv_lora_rank", sizes.rank);
  keys.u32("attention.key_length_mla", sizes.key);
  keys.u32("attention.value_length_mla", sizes.value);
  keys.u32("rope.dimension_count", sizes.turned);
}

void write_expert_keys(const ModelShape& shape, std::uint32_t traits, Keys& keys, HeaderWriter& writer) {
  keys.u32("expert_count", shape.experts);
  keys.u32("expert_used_count", shape.experts_used);
  keys.u32("expert_feed_forward_length", shape.expert_feed_forward());
  if ((traits & kSharedExpert) != 0) keys.u32("expert_shared_feed_forward_length", shape.expert_feed_forward());
  if ((traits & kBiasedChoice) == 0) return;
  constexpr std::uint32_t kSigmoid = 2;
  keys.u32("expert_shared_count", 1);
  keys.u32("leading_dense_block_count", leading_dense(shape, traits));
  keys.u32("expert_gating_func", kSigmoid);
  keys.f32("expert_weights_scale", 1.5F);
  writer.add_bool(keys.name("expert_weights_norm"), true);
}

/// Time, height and width, which leave no pair out.
void write_sections(const ModelShape& shape, const Keys& keys, HeaderWriter& writer) {
  const auto pairs = static_cast<std::int32_t>(shape.head_size / 2);
  const std::int32_t third = pairs / 3;
  writer.add_i32_array(keys.name("rope.dimension_sections"), std::array{pairs - 2 * third, third, third, 0});
}

void write_recurrent_keys(const ModelShape& shape, Keys& keys, HeaderWriter& writer) {
  write_sections(shape, keys, writer);
  keys.u32("ssm.conv_kernel", 4);
  keys.u32("ssm.inner_size", kStateSize * shape.heads);
  keys.u32("ssm.state_size", kStateSize);
  keys.u32("ssm.time_step_rank", shape.heads);
  keys.u32("ssm.group_count", shape.kv_heads);
  const auto recurrent = std::make_unique<bool[]>(shape.layers);
  for (std::uint32_t layer = 0; layer < shape.layers; ++layer) recurrent[layer] = !is_global(shape, layer);
  if (shape.layers % 4 == 0) {
    keys.u32("full_attention_interval", 4);
  } else {
    writer.add_bool_array(keys.name("attention.recurrent_layers"), {recurrent.get(), shape.layers});
  }
}

}  // namespace

std::vector<TensorSpec> model_tensors(const ModelShape& shape) { return Table(shape).build(); }

void write_model_keys(const ModelShape& shape, HeaderWriter& writer) {
  const std::uint32_t traits = find_row(shape.architecture).traits;
  Keys keys(shape, writer);
  writer.add_string("general.architecture", shape.architecture);
  writer.add_string("general.name", "random " + shape.architecture);
  keys.u32("block_count", shape.layers);
  keys.u32("context_length", 256);
  keys.u32("embedding_length", shape.embedding);
  keys.u32("feed_forward_length", shape.feed_forward);
  keys.u32("vocab_size", shape.vocabulary);
  if ((traits & kLatent) != 0) {
    write_latent_keys(shape, keys);
  } else {
    write_attention_keys(shape, traits, keys, writer);
  }
  if (shape.experts != 0) write_expert_keys(shape, traits, keys, writer);
  if ((traits & kSections) != 0) write_sections(shape, keys, writer);
  if ((traits & kRecurrent) != 0) write_recurrent_keys(shape, keys, writer);
  if (shape.architecture == "granite_swa") keys.f32("logit_scale", 1.0F);
  writer.add_string("tokenizer.ggml.model", "none");
}

std::vector<std::string_view> known_architectures() {
  std::vector<std::string_view> names;
  names.reserve(kArchitectures.size());
  for (const Architecture& row : kArchitectures) names.push_back(row.name);
  return names;
}

bool always_has_experts(std::string_view architecture) { return (find_row(architecture).traits & kMixture) != 0; }

}  // namespace gguf_fuse::test_support
