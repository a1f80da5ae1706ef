// SPDX-License-Identifier: MIT
#include "gguf_fuse/fuse/rules.hpp"

#include "gguf_fuse/fuse/plan.hpp"
#include "gguf_fuse/loader/tensor_type.hpp"

namespace gguf_fuse::fuse {
namespace {

constexpr std::array kFamilies = {
    RuleFamily{.name = "stack", .chosen = &FuseOptions::stack},
    RuleFamily{.name = "gate-up", .chosen = &FuseOptions::gate_up},
    RuleFamily{.name = "qkv", .chosen = &FuseOptions::qkv, .bias_engines = kBothEngines},
};
constexpr const RuleFamily* kStack = &kFamilies[0];
constexpr const RuleFamily* kGateUp = &kFamilies[1];
constexpr const RuleFamily* kQkv = &kFamilies[2];

// Converters of 2023 wrote a tensor for each expert.
constexpr Rule stack(RuleId id, std::string_view name, std::string_view part, std::string_view result) {
  return {.id = id,
          .name = name,
          .family = kStack,
          .parts = {part},
          .result = result,
          .axis = Axis::Matrices,
          .count_key = "expert_count",
          .mainline = &ArchitectureRow::mainline_stacks,
          .ik = &ArchitectureRow::ik_stacks};
}

// In the order in which they are applied; the row's place is its RuleId. Parts are in the order of their rows in the
// result.
constexpr std::array kRules = {
    stack(RuleId::StackGate, "stacked gate", "ffn_gate", "ffn_gate_exps"),
    stack(RuleId::StackUp, "stacked up", "ffn_up", "ffn_up_exps"),
    stack(RuleId::StackDown, "stacked down", "ffn_down", "ffn_down_exps"),
    Rule{.id = RuleId::GateUpExperts,
         .name = "gate+up experts",
         .kind = "experts",
         .family = kGateUp,
         .parts = {"ffn_gate_exps", "ffn_up_exps"},
         .result = "ffn_gate_up_exps",
         .dimension_count = 3,
         .mainline = &ArchitectureRow::mainline_experts,
         .ik = &ArchitectureRow::ik_experts},
    Rule{.id = RuleId::GateUpSharedExpert,
         .name = "gate+up shared expert",
         .kind = "dense",
         .family = kGateUp,
         .parts = {"ffn_gate_shexp", "ffn_up_shexp"},
         .result = "ffn_up_shexp",
         .rows = PartRows::EqualStated,
         .length_key = "expert_shared_feed_forward_length",
         .length_factors = {"expert_shared_count", "expert_feed_forward_length"},
         .mainline = &ArchitectureRow::mainline_shared},
    Rule{.id = RuleId::GateUpDense,
         .name = "gate+up dense",
         .kind = "dense",
         .family = kGateUp,
         .parts = {"ffn_gate", "ffn_up"},
         .result = "ffn_up",
         .rows = PartRows::EqualStated,
         .length_key = "feed_forward_length",
         .mainline = &ArchitectureRow::mainline_dense,
         .ik = &ArchitectureRow::ik_dense},
    Rule{.id = RuleId::Qkv,
         .name = "Q+K+V",
         .kind = "qkv",
         .family = kQkv,
         .parts = {"attn_q", "attn_k", "attn_v"},
         .result = "attn_qkv",
         .rows = PartRows::OfHeads,
         .one_scale = true,
         .own_in_recurrent = true,
         .mainline = &ArchitectureRow::mainline_qkv,
         .ik = &ArchitectureRow::ik_qkv},
};

constexpr bool rows_are_in_order() {
  for (std::size_t i = 0; i < kRules.size(); ++i) {
    if (static_cast<std::size_t>(kRules[i].id) != i) return false;
  }
  return true;
}
static_assert(rows_are_in_order());

}  // namespace

std::span<const RuleFamily> rule_families() { return kFamilies; }
std::span<const Rule> rules() { return kRules; }
const Rule& rule(RuleId id) {
  static constexpr Rule kNone{.name = "no rule"};
  const auto index = static_cast<std::size_t>(id);
  return index < kRules.size() ? kRules[index] : kNone;
}

}  // namespace gguf_fuse::fuse
