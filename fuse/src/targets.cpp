// SPDX-License-Identifier: MIT
#include "gguf_fuse/fuse/targets.hpp"

#include <algorithm>
#include <array>

#include "architectures.hpp"

namespace gguf_fuse {
namespace {

constexpr std::array kTargets = {
    TargetRow{Target::LlamaCpp, "llama.cpp", "what mainline llama.cpp reads"},
    TargetRow{Target::IkLlamaCpp, "ik_llama.cpp", "what ik_llama.cpp reads"},
    TargetRow{Target::GgufFuse, "gguf-fuse", "everything that is legal, for this project's own runtime"},
    TargetRow{Target::Both, "both", "only what both llama.cpp and ik_llama.cpp read"},
};

Support mainline(const ArchitectureRow& row, RuleId rule) {
  switch (rule) {
    case RuleId::GateUpExperts:
      return row.mainline_experts;
    case RuleId::GateUpSharedExpert:
      return row.mainline_shared;
    case RuleId::GateUpDense:
      return row.mainline_dense;
    case RuleId::Qkv:
      return row.mainline_qkv;
  }
  return Support::Unknown;
}

Support ik(const ArchitectureRow& row, RuleId rule) {
  switch (rule) {
    case RuleId::GateUpExperts:
      return row.ik_experts;
    case RuleId::GateUpSharedExpert:
      return Support::No;
    case RuleId::GateUpDense:
      return row.ik_dense;
    case RuleId::Qkv:
      return row.ik_qkv;
  }
  return Support::Unknown;
}

bool reads(Support support) { return support == Support::Yes || support == Support::Required; }

}  // namespace

std::span<const TargetRow> targets() { return kTargets; }

std::optional<Target> find_target(std::string_view name) {
  const auto* found =
      std::find_if(kTargets.begin(), kTargets.end(), [name](const TargetRow& row) { return row.name == name; });
  return found != kTargets.end() ? std::optional(found->target) : std::nullopt;
}

std::string_view target_name(Target target) {
  const auto* found =
      std::find_if(kTargets.begin(), kTargets.end(), [target](const TargetRow& row) { return row.target == target; });
  return found != kTargets.end() ? found->name : std::string_view("unknown");
}

std::span<const ArchitectureRow> architectures() { return architecture_rows(); }

const ArchitectureRow* find_architecture(std::string_view name) {
  const auto rows = architecture_rows();
  const auto found =
      std::lower_bound(rows.begin(), rows.end(), name,
                       [](const ArchitectureRow& row, std::string_view wanted) { return row.name < wanted; });
  return found != rows.end() && found->name == name ? &*found : nullptr;
}

Support support(Target target, std::string_view architecture, RuleId rule) {
  if (target == Target::GgufFuse) return Support::Yes;
  const ArchitectureRow* row = find_architecture(architecture);
  if (row == nullptr) return Support::Unknown;
  if (target == Target::LlamaCpp) return mainline(*row, rule);
  if (target == Target::IkLlamaCpp) return ik(*row, rule);
  const Support first = mainline(*row, rule);
  const Support second = ik(*row, rule);
  if (reads(first) && reads(second))
    return first == Support::Required || second == Support::Required ? Support::Required : Support::Yes;
  if (first == Support::Crashes || second == Support::Crashes) return Support::Crashes;
  return reads(first) ? second : first;
}

}  // namespace gguf_fuse
