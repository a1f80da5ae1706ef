// SPDX-License-Identifier: MIT
#include "hyperparameter_table.hpp"

#include <algorithm>
#include <array>

namespace gguf_fuse {
namespace {

constexpr auto kRefused = Absent::Refused;
constexpr auto kDefault = Absent::Default;
constexpr auto kDerived = Absent::Derived;

constexpr std::string_view kAll;
constexpr std::string_view kByHeads =
    "gemma2 gemma3 gemma4 glm4moe gpt-oss granite_swa llama phi3 qwen2 qwen2moe qwen3 qwen3moe qwen3vl qwen3vlmoe";
constexpr std::string_view kMixtures =
    "deepseek2 gemma4 glm4moe gpt-oss granite_swa llama qwen2moe qwen3moe qwen3vlmoe";
constexpr std::string_view kOwnGating = "deepseek2 glm4moe";
constexpr std::string_view kWindows = "gemma2 gemma3 gemma4 gpt-oss granite_swa";

constexpr std::string_view kCommon = "llama-model.cpp, load_hparams";
constexpr std::string_view kFile = "models/, load_arch_hparams of each";
constexpr std::string_view kHparams = "llama-hparams.h, and load_arch_hparams of each";

// The first row that fits counts.
constexpr auto kRows = std::to_array<KeyRow>({
    {"context_length", kAll, kRefused, 0, kCommon},
    {"embedding_length", kAll, kRefused, 0, kCommon},
    {"block_count", kAll, kRefused, 0, kCommon},
    {"nextn_predict_layers", kAll, kDefault, 0, kCommon},
    {"attention.layer_norm_rms_epsilon", kAll, kRefused, 0, kFile},

    {"attention.head_count", kAll, kRefused, 0, "no tensor of attention has a shape without it"},
    {"attention.head_count_kv", kByHeads, kDerived, 0, "llama-model.cpp: attention.head_count"},
    {"attention.key_length", kByHeads, kDerived, 0, "llama-model.cpp: embedding_length / attention.head_count"},
    {"attention.value_length", kByHeads, kDerived, 0, "llama-model.cpp: embedding_length / attention.head_count"},
    {"attention.key_length_swa", "gemma4", kRefused, 0, "models/gemma4.cpp"},
    {"attention.value_length_swa", "gemma4", kRefused, 0, "models/gemma4.cpp"},
    {"attention.key_length_swa", kByHeads, kDerived, 0, "llama-model.cpp: attention.key_length"},
    {"attention.value_length_swa", kByHeads, kDerived, 0, "llama-model.cpp: attention.value_length"},
    {"attention.scale", "granite_swa", kDefault, 0, "models/granite-swa.cpp; 0: 1 / sqrt(head size)"},
    {"attention.q_lora_rank", "deepseek2", kDefault, 0,
     "models/deepseek2.cpp; 0: Q is projected at once, and the file has attn_q"},
    {"attention.kv_lora_rank", "deepseek2", kRefused, 0, "models/deepseek2.cpp"},
    {"attention.key_length_mla", "deepseek2", kRefused, 0, "models/deepseek2.cpp: without it there is no attn_k_b"},
    {"attention.value_length_mla", "deepseek2", kRefused, 0, "models/deepseek2.cpp: without it there is no attn_v_b"},
    {"attention.temperature_scale", "deepseek2", kDefault, 0, "models/deepseek2.cpp; 0: none"},
    {"attention.shared_kv_layers", "gemma4", kDefault, 0, "models/gemma4.cpp"},
    {"embedding_length_per_layer_input", "gemma4", kRefused, 0, "models/gemma4.cpp"},

    {"attention.sliding_window", "gemma2", kDefault, 4096, "models/gemma2.cpp"},
    {"attention.sliding_window", "gemma3", kDefault, 0, "models/gemma3.cpp; 0: every layer sees all"},
    {"attention.sliding_window", kWindows, kRefused, 0, kFile},
    {"attention.sliding_window_pattern", "gemma4 granite_swa", kRefused, 0, kFile},
    {"attention.sliding_window_pattern", kWindows, kDerived, 0, "the architecture's period"},
    {"attention.rope_pattern", "granite_swa", kDefault, 1, "models/granite-swa.cpp; every layer turns"},
    {"attn_logit_softcapping", "gemma2", kDefault, 50, kHparams},
    {"final_logit_softcapping", "gemma2 gemma4", kDefault, 30, kHparams},
    {"final_logit_softcapping", "gemma3", kDefault, 0, "models/gemma3.cpp; 0: none"},

    {"embedding_scale", "granite_swa", kDefault, 0, "models/granite-swa.cpp; 0: none"},
    {"residual_scale", "granite_swa", kDefault, 0, "models/granite-swa.cpp; 0: none"},
    {"logit_scale", "granite_swa", kRefused, 0, "models/granite-swa.cpp"},

    {"rope.dimension_count", "deepseek2", kRefused, 0, "models/deepseek2.cpp: its usual size leaves nothing plain"},
    {"rope.dimension_count", kAll, kDerived, 0, "llama-model.cpp: attention.key_length"},
    {"rope.dimension_count_swa", kByHeads, kDerived, 0, "llama-model.cpp: rope.dimension_count"},
    {"rope.dimension_sections", "qwen3vl qwen3vlmoe", kRefused, 0, kFile},
    {"rope.dimension_sections", "glm4moe", kDerived, 0, "models/glm4-moe.cpp: none"},
    {"rope.freq_base", kAll, kDefault, 10000, kCommon},
    {"rope.freq_base_swa", "gemma3 gemma4", kDefault, 10000, kHparams},
    {"rope.freq_base_swa", "gemma2 gpt-oss", kDerived, 0, "models/gemma2.cpp, openai-moe.cpp: rope.freq_base"},
    {"rope.scale_linear", kAll, kDefault, 0, "llama-model.cpp, load_hparams: an older name of rope.scaling.factor"},
    {"rope.scaling.factor", kAll, kDefault, 0, "llama-model.cpp, load_hparams; 0: none"},
    {"rope.scaling.type", kAll, kDerived, 0, "llama-model.cpp, load_hparams: linear"},
    {"rope.scaling.attn_factor", kAll, kDefault, 1, kHparams},
    {"rope.scaling.original_context_length", kAll, kDerived, 0, "llama-model.cpp, load_hparams: context_length"},
    // llama.cpp reads these two for other architectures only; the reference (modeling_rope_utils.py of transformers)
    // does for all, and converters write them.
    {"rope.scaling.yarn_beta_fast", kAll, kDefault, 32, "llama-hparams.h"},
    {"rope.scaling.yarn_beta_slow", kAll, kDefault, 1, "llama-hparams.h"},
    {"rope.scaling.yarn_log_multiplier", "deepseek2", kDefault, 0, "models/deepseek2.cpp"},

    {"feed_forward_length", kAll, kDerived, 0, "required where a layer is dense or experts have no size of their own"},
    {"expert_count", kMixtures, kDefault, 0, kCommon},
    {"expert_used_count", kMixtures, kRefused, 0, "llama-model.cpp, load_hparams: where there are experts"},
    {"expert_group_count", kMixtures, kDefault, 0, kCommon},
    {"expert_group_used_count", kMixtures, kRefused, 0, "llama-model.cpp, load_hparams: where there are groups"},
    {"expert_feed_forward_length", "deepseek2 glm4moe gpt-oss", kRefused, 0, kFile},
    {"expert_feed_forward_length", "gemma4", kRefused, 0, "models/gemma4.cpp: where there are experts"},
    {"expert_feed_forward_length", "qwen2moe qwen3moe qwen3vlmoe", kDerived, 0,
     "load_arch_tensors of each: feed_forward_length / expert_used_count"},
    {"expert_shared_feed_forward_length", "qwen2moe", kDerived, 0, "models/qwen2moe.cpp: feed_forward_length"},
    {"expert_shared_feed_forward_length", "granite_swa", kDefault, 0, "models/granite-swa.cpp"},
    {"expert_shared_count", kOwnGating, kRefused, 0, kFile},
    {"expert_gating_func", kOwnGating, kDefault, 0, "models/deepseek2.cpp, glm4-moe.cpp; 0: the architecture's"},
    {"expert_weights_norm", kOwnGating, kDefault, 0, kHparams},
    {"expert_weights_scale", kOwnGating, kDefault, 0, "llama-hparams.h, llama-graph.cpp; 0: none"},
    {"leading_dense_block_count", kOwnGating, kDefault, 0, kHparams},
});

constexpr bool names(std::string_view list, std::string_view name) {
  for (std::size_t at = 0; at < list.size();) {
    const std::size_t end = std::min(list.find(' ', at), list.size());
    if (list.substr(at, end - at) == name) return true;
    at = end + 1;
  }
  return false;
}

}  // namespace

std::span<const KeyRow> key_rows() { return kRows; }

const KeyRow* find_key(std::string_view architecture, std::string_view key) {
  const auto* const found = std::find_if(kRows.begin(), kRows.end(), [&](const KeyRow& row) {
    return row.key == key && (row.architectures.empty() || names(row.architectures, architecture));
  });
  return found == kRows.end() ? nullptr : found;
}

}  // namespace gguf_fuse
