// SPDX-License-Identifier: MIT
#include "gguf_fuse/fuse/rules.hpp"

namespace gguf_fuse {
namespace {

// In the order in which they are applied; the row's place is its RuleId. Parts are in the order of their rows in the
// result.
constexpr std::array kRules = {
    Rule{RuleId::GateUpExperts, "gate+up experts", "gate-up", {"ffn_gate_exps", "ffn_up_exps"}, "ffn_gate_up_exps"},
    Rule{RuleId::GateUpSharedExpert,
         "gate+up shared expert",
         "gate-up",
         {"ffn_gate_shexp", "ffn_up_shexp"},
         "ffn_up_shexp"},
    Rule{RuleId::GateUpDense, "gate+up dense", "gate-up", {"ffn_gate", "ffn_up"}, "ffn_up"},
    Rule{RuleId::Qkv, "Q+K+V", "qkv", {"attn_q", "attn_k", "attn_v"}, "attn_qkv"},
};

constexpr bool rows_are_in_order() {
  for (std::size_t i = 0; i < kRules.size(); ++i) {
    if (static_cast<std::size_t>(kRules[i].id) != i) return false;
  }
  return true;
}
static_assert(rows_are_in_order());

}  // namespace

std::span<const Rule> rules() { return kRules; }
const Rule& rule(RuleId id) {
  static constexpr Rule kNone{RuleId::GateUpExperts, "no rule", "", {"", ""}, ""};
  const auto index = static_cast<std::size_t>(id);
  return index < kRules.size() ? kRules[index] : kNone;
}

}  // namespace gguf_fuse
