// SPDX-License-Identifier: MIT
#include "architectures.hpp"

#include <array>

namespace gguf_fuse::fuse::detail {
namespace {

constexpr Support Y = Support::Yes;
constexpr Support N = Support::No;
constexpr Support R = Support::Required;
constexpr Support X = Support::Crashes;
constexpr Support U = Support::Unknown;
constexpr Support O = Support::None;

constexpr std::string_view kMainlineName = "llama.cpp";
constexpr Trap trap(std::string_view text, std::string_view engine = {}) { return {text, engine}; }
constexpr Trap kKdaLayers =
    trap("loads attn_qkv of KDA layers and then reads tensors that are not there", kMainlineName);
constexpr Trap kNormOfViews =
    trap("its graph reshapes Q and K after attn_q_norm in a way that fails on views of attn_qkv");
constexpr Trap kRecurrentLayers =
    trap("recurrent layers store attn_qkv in their own shape; only attention layers take part");
constexpr Trap kExpertBiases =
    trap("expert biases: llama.cpp has no slot for them and ik_llama.cpp fails to load the fused ones");
constexpr Trap kFusedByDesign = trap("stores ffn_up with gate and up fused by design");

// What the engines' loaders and graphs do, read from their sources and partly run (docs/engines.md says which).
// An architecture that is not here is treated as one that no engine reads fused.
// Columns: mainline experts, dense, qkv; ik_llama.cpp experts, dense, qkv; traits; trap; mainline shared expert;
// stacks of both, where an engine also reads a tensor for each expert.
constexpr std::array kRows = {
    ArchitectureRow{"afmoe", N, N, Y, U, U, U},
    ArchitectureRow{"apertus", O, N, Y, U, U, U},
    ArchitectureRow{"arcee", O, N, Y, U, U, U},
    ArchitectureRow{"arctic", N, N, Y, N, N, N},
    ArchitectureRow{"baichuan", O, N, Y, U, U, U},
    ArchitectureRow{"bailingmoe", N, N, Y, U, U, U},
    ArchitectureRow{"bailingmoe2", N, N, R, Y, N, R},
    ArchitectureRow{"bailingmoe3", N, N, X, Y, N, N, kPlainAttention, kKdaLayers},
    ArchitectureRow{"bert", O, N, Y, O, N, N, kQkNormBreaks, kNormOfViews},
    ArchitectureRow{"bitnet", O, N, N, O, N, N},
    ArchitectureRow{"bloom", O, N, R, O, N, R},
    ArchitectureRow{"chameleon", O, N, Y, U, U, U},
    ArchitectureRow{"chatglm", O, R, Y, O, R, R},
    ArchitectureRow{"codeshell", O, N, Y, O, N, R},
    ArchitectureRow{"cogvlm", O, N, R, U, U, U},
    ArchitectureRow{"cohere2", O, N, Y, U, U, U},
    ArchitectureRow{"cohere2_moe", U, U, U, Y, N, N, kPlainAttention,
                    trap("llama.cpp spells this architecture cohere2moe")},
    ArchitectureRow{"cohere2moe", Y, N, Y, U, U, U, kPlainAttention,
                    trap("ik_llama.cpp spells this architecture cohere2_moe")},
    ArchitectureRow{"command-r", O, N, Y, U, U, U},
    ArchitectureRow{"dbrx", N, O, R, Y, O, R},
    ArchitectureRow{"deci", N, N, Y, U, U, U},
    ArchitectureRow{"deepseek", N, N, Y, U, U, U},
    ArchitectureRow{"deepseek2", Y, N, O, Y, N, O},
    ArchitectureRow{"deepseek2-ocr", Y, N, Y, U, U, U},
    ArchitectureRow{"deepseek32", N, N, O, N, N, O},
    ArchitectureRow{"deepseek4", N, N, O, Y, N, O},
    ArchitectureRow{"dflash", O, N, N, U, U, U},
    ArchitectureRow{"dots1", N, N, Y, Y, N, N},
    ArchitectureRow{"dots3note", N, N, N, U, U, U},
    ArchitectureRow{"dream", O, N, Y, U, U, U},
    ArchitectureRow{"eagle3", O, N, N, U, U, U},
    ArchitectureRow{"ernie4_5", O, N, Y, U, U, U},
    ArchitectureRow{"ernie4_5-moe", N, N, Y, N, N, N},
    ArchitectureRow{"eurobert", O, N, Y, U, U, U},
    ArchitectureRow{"exaone", O, N, Y, U, U, U},
    ArchitectureRow{"exaone-moe", N, N, Y, U, U, U},
    ArchitectureRow{"exaone4", O, N, Y, U, U, U},
    ArchitectureRow{"falcon", O, N, R, O, N, R},
    ArchitectureRow{"falcon-h1", O, N, Y, U, U, U},
    ArchitectureRow{"gemma", O, N, Y, U, U, U},
    ArchitectureRow{"gemma-embedding", O, N, Y, U, U, U},
    ArchitectureRow{"gemma2", O, N, Y, O, N, N},
    ArchitectureRow{"gemma3", O, N, Y, O, N, N},
    ArchitectureRow{"gemma3n", O, N, Y, U, U, U, kPlainAttention,
                    trap("layers that share keys and values stay separate")},
    ArchitectureRow{"gemma4", Y, N, Y, R, N, N, kNoFusedBias,
                    trap("layers without their own K or V stay separate; ik_llama.cpp reads the experts only fused")},
    ArchitectureRow{"gemma4-assistant", O, N, N, U, U, U},
    ArchitectureRow{"glm-dsa", N, N, O, N, N, O},
    ArchitectureRow{"glm4", O, R, Y, O, R, N, kPlainAttention, kFusedByDesign},
    ArchitectureRow{"glm4moe", N, N, Y, Y, N, N},
    ArchitectureRow{"glm5-next", N, N, X, U, U, U, kPlainAttention, kKdaLayers},
    ArchitectureRow{"gpt-oss", N, O, Y, X, O, N, kPlainAttention, kExpertBiases},
    ArchitectureRow{"gpt2", O, N, R, O, N, R},
    ArchitectureRow{"gptneox", O, N, R, O, N, R},
    ArchitectureRow{"granite", O, N, Y, U, U, U},
    ArchitectureRow{"granite_swa", Y, N, Y, U, U, U, kPlainAttention,
                    trap("stores the shared expert fused in ffn_up_shexp by design"), R},
    ArchitectureRow{"granitehybrid", N, N, Y, U, U, U},
    ArchitectureRow{"granitemoe", N, N, Y, N, N, N},
    ArchitectureRow{"graniteswitch", O, N, R, U, U, U},
    ArchitectureRow{"grok", N, N, Y, N, N, N, kPlainAttention, {}, N, R, Y},
    ArchitectureRow{"grovemoe", N, N, Y, U, U, U},
    ArchitectureRow{"hrm_text", O, N, Y, U, U, U},
    ArchitectureRow{"hunyuan-dense", O, N, Y, U, U, U},
    ArchitectureRow{"hunyuan-moe", N, O, Y, Y, O, N},
    ArchitectureRow{"hunyuan_vl", O, N, Y, U, U, U},
    ArchitectureRow{"hy_v3", Y, N, Y, U, U, U},
    ArchitectureRow{"hy_v4", N, N, N, U, U, U},
    ArchitectureRow{"internlm2", O, N, Y, U, U, U},
    ArchitectureRow{"jais", O, N, R, O, N, R},
    ArchitectureRow{"jais2", O, N, Y, U, U, U},
    ArchitectureRow{"jamba", N, N, Y, U, U, U},
    ArchitectureRow{"jina-bert-v2", O, Y, Y, O, N, N, kQkNormBreaks, kNormOfViews},
    ArchitectureRow{"jina-bert-v3", O, N, Y, O, N, N, kQkNormBreaks, kNormOfViews},
    ArchitectureRow{"kimi-k3", N, N, X, U, U, U, kPlainAttention, kKdaLayers},
    ArchitectureRow{"kimi-linear", N, N, Y, U, U, U, kOtherQkvLayout},
    ArchitectureRow{"laguna", N, N, Y, Y, N, N},
    ArchitectureRow{"lfm2", O, N, Y, U, U, U},
    ArchitectureRow{"lfm2moe", N, N, Y, U, U, U},
    ArchitectureRow{"llada", O, N, Y, U, U, U},
    ArchitectureRow{"llada-moe", N, N, Y, U, U, U},
    ArchitectureRow{"llama", N, N, Y, N, N, N, kPlainAttention, {}, N, R, Y},
    ArchitectureRow{"llama-embed", O, N, Y, U, U, U},
    ArchitectureRow{"llama4", N, N, Y, Y, N, N},
    ArchitectureRow{"maincoder", O, N, Y, U, U, U},
    ArchitectureRow{"maple", N, N, Y, U, U, U},
    ArchitectureRow{"mellum", N, N, Y, U, U, U},
    ArchitectureRow{"mimo2", N, N, Y, Y, N, N, kNoFusedBias,
                    trap("multi-token-prediction layers are read only with attn_qkv")},
    ArchitectureRow{"minicpm", O, N, Y, U, U, U},
    ArchitectureRow{"minicpm3", O, N, N, U, U, U},
    ArchitectureRow{"minimax-01", N, N, Y, U, U, U, kOtherQkvLayout,
                    trap("linear-attention layers store attn_qkv per head")},
    ArchitectureRow{"minimax-m2", N, O, Y, Y, O, N},
    ArchitectureRow{"minimax-m3", N, N, Y, N, N, N},
    ArchitectureRow{"mistral3", N, N, Y, N, N, N},
    ArchitectureRow{"mistral4", Y, N, O, Y, N, O},
    ArchitectureRow{"modern-bert", O, R, R, U, U, U},
    ArchitectureRow{"mpt", O, N, R, O, N, R},
    ArchitectureRow{"muse-glimmer", O, N, Y, U, U, U},
    ArchitectureRow{"nanbeige", O, N, Y, U, U, U},
    ArchitectureRow{"nemotron", O, N, Y, U, U, U},
    ArchitectureRow{"nemotron_h", O, N, Y, U, U, U},
    ArchitectureRow{"nemotron_h_moe", N, N, Y, U, U, U},
    ArchitectureRow{"neo-bert", O, R, R, U, U, U},
    ArchitectureRow{"nomic-bert", O, N, Y, O, N, R, kQkNormBreaks, kNormOfViews},
    ArchitectureRow{"nomic-bert-moe", O, N, Y, U, U, U, kQkNormBreaks, kNormOfViews},
    ArchitectureRow{"olmo", O, N, Y, U, U, U},
    ArchitectureRow{"olmo2", O, N, Y, U, U, U},
    ArchitectureRow{"olmoe", N, O, Y, U, U, U},
    ArchitectureRow{"openelm", O, N, R, O, N, R},
    ArchitectureRow{"orion", O, N, Y, U, U, U},
    ArchitectureRow{"paddleocr", O, N, Y, U, U, U},
    ArchitectureRow{"pangu-embedded", O, N, Y, U, U, U},
    ArchitectureRow{"phi2", O, N, Y, O, N, R},
    ArchitectureRow{"phi3", O, R, Y, O, R, R, kPlainAttention, kFusedByDesign},
    ArchitectureRow{"phimoe", N, N, Y, U, U, U},
    ArchitectureRow{"plamo", O, N, Y, U, U, U},
    ArchitectureRow{"plamo2", O, R, R, U, U, U},
    ArchitectureRow{"plamo3", O, R, R, U, U, U},
    ArchitectureRow{"plm", O, N, N, U, U, U},
    ArchitectureRow{"pockettts", O, N, Y, U, U, U},
    ArchitectureRow{"qwen", O, N, R, O, N, R},
    ArchitectureRow{"qwen2", O, N, Y, O, N, N},
    ArchitectureRow{"qwen2moe", N, O, Y, Y, O, N},
    ArchitectureRow{"qwen2vl", O, N, Y, U, U, U},
    ArchitectureRow{"qwen3", O, N, Y, O, N, N},
    ArchitectureRow{"qwen35", O, N, Y, O, N, N, kGatedQueries | kOtherQkvLayout, kRecurrentLayers},
    ArchitectureRow{"qwen35moe", Y, O, Y, Y, O, N, kGatedQueries | kOtherQkvLayout, kRecurrentLayers},
    ArchitectureRow{"qwen3moe", N, O, Y, Y, O, N},
    ArchitectureRow{"qwen3next", Y, O, Y, Y, O, N, kGatedQueries | kOtherQkvLayout, kRecurrentLayers},
    ArchitectureRow{"qwen3tts", O, N, Y, U, U, U},
    ArchitectureRow{"qwen3vl", O, N, Y, O, N, N},
    ArchitectureRow{"qwen3vlmoe", N, O, Y, Y, O, N},
    ArchitectureRow{"qwen4exp", Y, O, X, U, U, U, kGatedQueries,
                    trap("loads attn_qkv and then reads tensors that are not there", kMainlineName)},
    ArchitectureRow{"refact", O, N, Y, U, U, U},
    ArchitectureRow{"rnd1", N, N, Y, U, U, U},
    ArchitectureRow{"seed_oss", O, N, Y, U, U, U},
    ArchitectureRow{"smallthinker", N, O, Y, U, U, U},
    ArchitectureRow{"smollm3", O, N, Y, U, U, U},
    ArchitectureRow{"spark2_5", O, N, Y, U, U, U},
    ArchitectureRow{"stablelm", O, N, Y, U, U, U},
    ArchitectureRow{"starcoder", O, N, R, O, N, R},
    ArchitectureRow{"starcoder2", O, N, Y, U, U, U},
    ArchitectureRow{"step35", N, N, Y, Y, N, N},
    ArchitectureRow{"t5", O, N, N, U, U, U},
    ArchitectureRow{"t5encoder", O, N, N, U, U, U},
    ArchitectureRow{"talkie", O, N, Y, U, U, U},
    ArchitectureRow{"xverse", O, N, Y, U, U, U},
};

constexpr bool names_ascend() {
  for (std::size_t i = 1; i < kRows.size(); ++i) {
    if (kRows[i - 1].name >= kRows[i].name) return false;
  }
  return true;
}
static_assert(names_ascend(), "find_architecture searches by bisection");

constexpr bool traps_are_told() {
  for (const ArchitectureRow& row : kRows) {
    for (const Support support : {row.mainline_experts, row.mainline_dense, row.mainline_qkv, row.mainline_shared,
                                  row.ik_experts, row.ik_dense, row.ik_qkv}) {
      if (support == Support::Crashes && row.trap.text.empty()) return false;
    }
    if ((row.traits & kQkNormBreaks) != 0 && row.trap.text.empty()) return false;
  }
  return true;
}
static_assert(traps_are_told(), "a refusal says why");

}  // namespace

std::span<const ArchitectureRow> architecture_rows() { return kRows; }

}  // namespace gguf_fuse::fuse::detail
