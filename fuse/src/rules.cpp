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
constexpr Rule stack(std::string_view name, std::string_view part, std::string_view result) {
  return {.name = name,
          .family = kStack,
          .parts = {part},
          .result = result,
          .axis = Axis::Matrices,
          .count_key = "expert_count",
          .mainline = &ArchitectureRow::mainline_stacks,
          .ik = &ArchitectureRow::ik_stacks};
}

constexpr Rule with_id(RuleId id, Rule rule) {
  rule.id = id;
  return rule;
}

constexpr std::array kRules = {
#define GGUF_FUSE_RULE(id, ...) with_id(RuleId::id, __VA_ARGS__),
#include "gguf_fuse/fuse/rule_list.inc"
#undef GGUF_FUSE_RULE
};

}  // namespace

std::span<const RuleFamily> rule_families() { return kFamilies; }
std::span<const Rule> rules() { return kRules; }
const Rule& rule(RuleId id) {
  static constexpr Rule kNone{.name = "no rule"};
  const auto index = static_cast<std::size_t>(id);
  return index < kRules.size() ? kRules[index] : kNone;
}

}  // namespace gguf_fuse::fuse
