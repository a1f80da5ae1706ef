// SPDX-License-Identifier: MIT
// Hyperparameters as a damaged or hostile file has them: an error that names the key, or numbers.
#include "hostile_fixture.hpp"
#include "model/key_table.hpp"

namespace gguf_fuse::runtime {
namespace {

using testing::AnyOf;
using testing::HasSubstr;

class HostileHyperparameters : public HostileTest {};
INSTANTIATE_TEST_SUITE_P(Any, HostileHyperparameters, testing::ValuesIn(hostile_names()), test_name);

TEST_P(HostileHyperparameters, UntouchedItWorks) { EXPECT_EQ(outcome(model_of(GetParam()).build()), "works"); }

/// Which models read a key, and which rows below are about them.
enum Who : std::uint8_t {
  kAll,
  kDense,
  kMixtures,
  kHeads,     // attention by heads
  kLatent,    // attention by one compressed vector
  kSections,  // M-RoPE
  kScales,    // Granite's
  kLists,     // an array with a value a layer
  kNoLists,
};

constexpr std::string_view kSizes[] = {"block_count", "context_length", "embedding_length", "feed_forward_length",
                                       "attention.head_count"};

struct OtherKey {
  Who who;
  std::string_view key;
};
constexpr OtherKey kOtherKeys[] = {{kAll, "attention.layer_norm_rms_epsilon"},
                                   {kAll, "attention.rope_pattern"},
                                   {kAll, "attention.scale"},
                                   {kAll, "attention.shared_kv_layers"},
                                   {kAll, "attention.temperature_scale"},
                                   {kAll, "attention.sliding_window"},
                                   {kAll, "attention.sliding_window_pattern"},
                                   {kAll, "attn_logit_softcapping"},
                                   {kAll, "embedding_length_per_layer_input"},
                                   {kAll, "expert_count"},
                                   {kAll, "final_logit_softcapping"},
                                   {kAll, "nextn_predict_layers"},
                                   {kAll, "rope.dimension_count"},
                                   {kAll, "rope.dimension_count_swa"},
                                   {kAll, "rope.freq_base"},
                                   {kAll, "rope.freq_base_swa"},
                                   {kAll, "rope.scale_linear"},
                                   {kAll, "rope.scaling.attn_factor"},
                                   {kAll, "rope.scaling.factor"},
                                   {kAll, "rope.scaling.original_context_length"},
                                   {kAll, "rope.scaling.type"},
                                   {kAll, "rope.scaling.yarn_beta_fast"},
                                   {kAll, "rope.scaling.yarn_beta_slow"},
                                   {kAll, "vocab_size"},
                                   {kHeads, "attention.head_count_kv"},
                                   {kHeads, "attention.key_length"},
                                   {kHeads, "attention.key_length_swa"},
                                   {kHeads, "attention.value_length"},
                                   {kHeads, "attention.value_length_swa"},
                                   {kLatent, "attention.key_length_mla"},
                                   {kLatent, "attention.kv_lora_rank"},
                                   {kLatent, "attention.q_lora_rank"},
                                   {kLatent, "attention.value_length_mla"},
                                   {kLatent, "rope.scaling.yarn_log_multiplier"},
                                   {kMixtures, "expert_feed_forward_length"},
                                   {kMixtures, "expert_gating_func"},
                                   {kMixtures, "expert_group_count"},
                                   {kMixtures, "expert_group_used_count"},
                                   {kMixtures, "expert_shared_count"},
                                   {kMixtures, "expert_shared_feed_forward_length"},
                                   {kMixtures, "expert_used_count"},
                                   {kMixtures, "expert_weights_norm"},
                                   {kMixtures, "expert_weights_scale"},
                                   {kMixtures, "leading_dense_block_count"},
                                   {kScales, "embedding_scale"},
                                   {kScales, "logit_scale"},
                                   {kScales, "residual_scale"},
                                   {kSections, "rope.dimension_sections"}};

/// Which of them this one is.
class HostileKeys : public HostileHyperparameters {
 protected:
  [[nodiscard]] bool reads(std::string_view key) const { return find_key(architecture_of(GetParam()), key) != nullptr; }
  [[nodiscard]] bool is(Who who) const {
    const bool lists = GetParam() == "gemma4" || GetParam() == "granite_swa" || GetParam() == "qwen35moe";
    switch (who) {
      case kAll:
        return true;
      case kDense:
        return !is_mixture();
      case kMixtures:
        return is_mixture();
      case kHeads:
        return row().attention() != nullptr;
      case kLatent:
        return row().attention() == nullptr;
      case kSections:
        return row().attention() != nullptr && row().attention()->interleaved_sections;
      case kScales:
        return reads("residual_scale");
      case kLists:
        return lists;
      case kNoLists:
        return !lists;
    }
    return false;
  }
};
INSTANTIATE_TEST_SUITE_P(Any, HostileKeys, testing::ValuesIn(hostile_names()), test_name);

TEST_P(HostileKeys, EachMayHoldAnything) {
  const RandomModel model = model_of(GetParam());
  const Bytes file = model.build();
  const auto outcome_of = [&](std::string_view name, const BadValue& value) {
    const std::string whole = key(name);
    SCOPED_TRACE(whole + " = " + value.name);
    return outcome(with_key(file, whole, value.write ? [&](HeaderWriter& w) { value.write(w, whole); } : Write()));
  };
  for (const std::string_view size : kSizes) {
    // Mixtures without a dense layer have it for nothing, unless it is the size of their experts.
    const bool unused =
        size == "feed_forward_length" && !has_tensor(model, "ffn_down.weight") && reads("expert_feed_forward_length");
    for (const BadValue& value : bad_values()) {
      const std::string found = outcome_of(size, value);
      if (std::string_view(value.name) == "missing") {
        EXPECT_EQ(found, unused ? "works" : "MissingKey") << size;
      } else if (found == "works" || found == "BufferTooLarge") {
        EXPECT_TRUE(unused || size == "context_length") << size << " = " << value.name;
      } else {
        EXPECT_THAT(found, AnyOf("WrongValueType", "BadHyperparameter", "BadTensorShape", "MissingTensor",
                                 "UnsupportedArchitecture", "UnsupportedHyperparameter"))
            << size << " = " << value.name;
      }
    }
  }
  for (const OtherKey& other : kOtherKeys) {
    if (!is(other.who)) continue;
    for (const BadValue& value : bad_values()) static_cast<void>(outcome_of(other.key, value));
  }
}

struct KeyRow {
  Who who;
  std::string_view key;
  std::string_view value;  // a name of bad_values()
  std::string_view outcome;
};

// What a reader has to say exactly. Tiny mixtures have four experts and use two.
constexpr KeyRow kRows[] = {{kAll, "block_count", "0", "BadHyperparameter"},
                            {kAll, "block_count", "2^31", "BadHyperparameter"},
                            {kNoLists, "block_count", "3", "MissingTensor"},
                            {kLists, "block_count", "3", "BadHyperparameter"},
                            {kAll, "block_count", "1", "UnsupportedArchitecture"},  // tensors nothing computes with
                            {kAll, "block_count", "text", "WrongValueType"},
                            {kAll, "nextn_predict_layers", "3", "BadHyperparameter"},
                            {kAll, "nextn_predict_layers", "1", "works"},  // the second layer is left out
                            {kAll, "context_length", "0", "BadHyperparameter"},
                            {kAll, "context_length", "2^31", "BadHyperparameter"},
                            {kAll, "embedding_length", "2^64-1", "BadHyperparameter"},
                            {kAll, "embedding_length", "3", "BadTensorShape"},
                            {kAll, "embedding_length_per_layer_input", "1", "UnsupportedHyperparameter"},
                            {kAll, "attention.shared_kv_layers", "1", "UnsupportedHyperparameter"},
                            {kAll, "attention.head_count", "3", "BadTensorShape"},
                            {kAll, "attention.head_count", "-1", "WrongValueType"},
                            {kHeads, "attention.head_count_kv", "3", "BadHyperparameter"},
                            {kHeads, "attention.head_count_kv", "0", "BadHyperparameter"},
                            {kHeads, "attention.head_count_kv", "[]", "BadHyperparameter"},
                            {kHeads, "attention.head_count_kv", "[0, 0]", "BadHyperparameter"},
                            {kHeads, "attention.key_length", "0", "BadHyperparameter"},
                            {kHeads, "attention.key_length", "2^24", "UnsupportedHyperparameter"},
                            {kHeads, "attention.value_length", "3", "UnsupportedHyperparameter"},
                            {kHeads, "attention.value_length_swa", "3", "UnsupportedHyperparameter"},
                            {kHeads, "rope.dimension_count", "3", "BadHyperparameter"},     // odd
                            {kHeads, "rope.dimension_count", "2^24", "BadHyperparameter"},  // larger than a head
                            {kAll, "attention.rope_pattern", "[0, 0]", "works"},
                            {kAll, "attention.rope_pattern", "[]", "BadHyperparameter"},
                            {kAll, "attention.rope_pattern", "[texts]", "WrongValueType"},
                            {kAll, "attention.rope_pattern", "0", "works"},  // for all layers
                            {kAll, "attention.rope_pattern", "1", "works"},
                            {kAll, "attention.rope_pattern", "true", "works"},
                            {kAll, "attention.rope_pattern", "2.5", "WrongValueType"},
                            {kAll, "attention.temperature_scale", "1", "WrongValueType"},
                            {kAll, "attention.temperature_scale", "0.0", "works"},
                            {kAll, "attention.temperature_scale", "NaN", "BadHyperparameter"},
                            {kAll, "rope.freq_base", "NaN", "BadHyperparameter"},
                            {kAll, "rope.freq_base", "infinite", "BadHyperparameter"},
                            {kAll, "rope.freq_base", "0.0", "BadHyperparameter"},
                            {kAll, "rope.freq_base", "-1.0", "BadHyperparameter"},
                            {kAll, "rope.freq_base", "text", "WrongValueType"},
                            {kAll, "rope.freq_base_swa", "-1.0", "BadHyperparameter"},
                            {kAll, "rope.scaling.factor", "-1.0", "BadHyperparameter"},
                            {kAll, "rope.scaling.type", "text", "UnsupportedHyperparameter"},
                            {kAll, "rope.scaling.type", "3", "WrongValueType"},
                            {kAll, "attention.layer_norm_rms_epsilon", "-1.0", "BadHyperparameter"},
                            {kAll, "attention.layer_norm_rms_epsilon", "NaN", "BadHyperparameter"},
                            {kAll, "attn_logit_softcapping", "-1.0", "BadHyperparameter"},
                            {kAll, "final_logit_softcapping", "-1.0", "BadHyperparameter"},
                            {kAll, "vocab_size", "2^64-1", "works"},  // the embeddings say it
                            {kLatent, "attention.kv_lora_rank", "missing", "MissingKey"},
                            {kLatent, "attention.kv_lora_rank", "0", "BadHyperparameter"},
                            {kLatent, "attention.kv_lora_rank", "3", "UnsupportedHyperparameter"},
                            {kLatent, "attention.kv_lora_rank", "2^24", "UnsupportedHyperparameter"},
                            {kLatent, "attention.q_lora_rank", "0", "MissingTensor"},  // then there is one attn_q
                            {kLatent, "attention.q_lora_rank", "3", "BadTensorShape"},
                            {kLatent, "attention.key_length_mla", "3", "BadHyperparameter"},  // less than what turns
                            {kLatent, "attention.key_length_mla", "2^24", "UnsupportedHyperparameter"},
                            {kLatent, "attention.value_length_mla", "3", "UnsupportedHyperparameter"},
                            {kLatent, "rope.dimension_count", "3", "UnsupportedHyperparameter"},
                            {kSections, "rope.dimension_sections", "missing", "MissingKey"},
                            {kSections, "rope.dimension_sections", "[]", "BadHyperparameter"},
                            {kSections, "rope.dimension_sections", "[0, 0]", "BadHyperparameter"},
                            {kSections, "rope.dimension_sections", "1", "WrongValueType"},
                            {kSections, "rope.dimension_sections", "[texts]", "WrongValueType"},
                            {kScales, "residual_scale", "-1.0", "BadHyperparameter"},
                            {kScales, "embedding_scale", "text", "WrongValueType"},
                            {kScales, "logit_scale", "NaN", "BadHyperparameter"},
                            {kScales, "logit_scale", "0.0", "works"},
                            {kDense, "expert_count", "0", "works"},
                            {kDense, "expert_count", "3", "MissingKey"},
                            {kMixtures, "expert_count", "text", "WrongValueType"},
                            {kMixtures, "expert_count", "3", "BadTensorShape"},
                            {kMixtures, "expert_count", "1", "UnsupportedHyperparameter"},  // and two are used
                            {kMixtures, "expert_count", "2^24", "UnsupportedHyperparameter"},
                            {kMixtures, "expert_used_count", "missing", "MissingKey"},
                            {kMixtures, "expert_used_count", "0", "BadHyperparameter"},
                            {kMixtures, "expert_used_count", "3", "works"},
                            {kMixtures, "expert_used_count", "2^24", "UnsupportedHyperparameter"},
                            {kMixtures, "expert_feed_forward_length", "0", "BadTensorShape"},
                            {kMixtures, "expert_feed_forward_length", "3", "BadTensorShape"},
                            {kMixtures, "expert_gating_func", "0", "works"},
                            {kMixtures, "expert_gating_func", "1", "works"},
                            {kMixtures, "expert_gating_func", "3", "works"},
                            {kMixtures, "expert_gating_func", "2^24", "UnsupportedHyperparameter"},
                            {kMixtures, "expert_weights_norm", "true", "works"},
                            {kMixtures, "expert_weights_norm", "3", "WrongValueType"},
                            {kMixtures, "expert_weights_scale", "-1.0", "BadHyperparameter"},
                            {kMixtures, "expert_weights_scale", "NaN", "BadHyperparameter"},
                            {kMixtures, "expert_weights_scale", "0.0", "works"},
                            {kMixtures, "expert_group_count", "0", "works"},
                            {kMixtures, "expert_group_count", "1", "works"},
                            {kMixtures, "expert_group_count", "3", "MissingKey"},  // how many of them are used?
                            {kMixtures, "expert_group_count", "2^24", "MissingKey"},
                            {kMixtures, "expert_group_used_count", "3", "works"},  // without groups it means nothing
                            {kMixtures, "leading_dense_block_count", "0", "MissingTensor"},
                            {kMixtures, "leading_dense_block_count", "2^64-1", "BadHyperparameter"}};

TEST_P(HostileKeys, WrongValuesAreNamed) {
  const Bytes file = model_of(GetParam()).build();
  for (const KeyRow& row : kRows) {
    if (!is(row.who)) continue;
    const std::string name = key(row.key);
    const auto value = std::find_if(bad_values().begin(), bad_values().end(),
                                    [&](const BadValue& candidate) { return candidate.name == row.value; });
    ASSERT_NE(value, bad_values().end()) << row.value;
    const Write write = value->write ? [&](HeaderWriter& w) { value->write(w, name); } : Write();
    const auto error = attempt(with_key(file, name, write));
    EXPECT_EQ(error ? error_name(error->code) : "works", reads(row.key) ? row.outcome : "works")
        << row.key << " = " << row.value;
    const bool of_the_key = error && error->code != ErrorCode::MissingTensor &&
                            error->code != ErrorCode::BadTensorShape &&
                            error->code != ErrorCode::UnsupportedArchitecture;
    if (of_the_key) {
      EXPECT_THAT(error->subject, testing::StartsWith(key(""))) << error->message();
    }
  }
}

TEST_P(HostileHyperparameters, WindowsAndContextsOfAnySize) {
  const Bytes file = model_of(GetParam()).build();
  const std::string window = key("attention.sliding_window");
  for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1} << 40}) {
    // Without windows all of Gemma 4's heads are of the other size.
    const char* const wanted = size == 0 && GetParam() == "gemma4" ? "BadTensorShape" : "works";
    EXPECT_EQ(outcome(with_key(file, window, [&](HeaderWriter& w) { w.add_u64(window, size); })), wanted) << size;
  }
  for (const std::uint32_t context : {3U, 17U, 1U << 16}) {
    EXPECT_FALSE(attempt(file, {.context = context, .micro_batch = 0, .candidates = 0})) << context;
    EXPECT_FALSE(attempt(file, {.context = context, .micro_batch = 1U << 31, .candidates = 1U << 31})) << context;
  }
}

TEST_P(HostileHyperparameters, ACacheLargerThanTheDeviceNamesTheOption) {
  const std::uint64_t before = device_->allocated_bytes();
  const std::string name = key("context_length");
  // one layer at least sees everything
  const AttentionTraits* const attention = row().attention();
  const std::uint32_t layers = attention != nullptr && attention->window_pattern > 2 ? attention->window_pattern : 2;
  const Bytes longest = with_key(model_of(GetParam()).layers(layers).heads(64, 64, 256).build(), name,
                                 [&](HeaderWriter& w) { w.add_u32(name, 1U << 24); });
  const std::pair<Bytes, SessionOptions> wishes[] = {
      {longest, {}},  // the file's own context: 1 TiB a layer
      {model_of(GetParam()).layers(layers).build(), {.context = std::numeric_limits<std::uint32_t>::max()}}};
  for (const auto& [file, options] : wishes) {
    const auto error = attempt(file, options);
    ASSERT_TRUE(error);
    EXPECT_THAT(error->code, AnyOf(ErrorCode::OutOfDeviceMemory, ErrorCode::BufferTooLarge));
    EXPECT_THAT(error->message(), HasSubstr("shorter context (-c)"));
    EXPECT_EQ(device_->allocated_bytes(), before);
  }
}

}  // namespace
}  // namespace gguf_fuse::runtime
