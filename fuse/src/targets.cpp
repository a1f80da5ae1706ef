// SPDX-License-Identifier: MIT
#include "gguf_fuse/fuse/targets.hpp"

#include <algorithm>
#include <array>

#include "architectures.hpp"
#include "gguf_fuse/loader/tensor_type.hpp"

namespace gguf_fuse::fuse {
namespace {

constexpr std::array kTargets = {
    TargetRow{Target::LlamaCpp, "llama.cpp", "what mainline llama.cpp reads", kMainline},
    TargetRow{Target::IkLlamaCpp, "ik_llama.cpp", "what ik_llama.cpp reads", kIk},
    TargetRow{Target::GgufFuse, "gguf-fuse", "everything that is legal, for this project's own runtime"},
    TargetRow{Target::Both, "both", "only what both llama.cpp and ik_llama.cpp read", kBothEngines},
};

// What an engine does with a rule's fused tensor, by its column of the table.
Support entry(const ArchitectureRow& row, Support ArchitectureRow::*column) {
  return column != nullptr ? row.*column : Support::No;
}

bool reads(Support support) { return support == Support::Yes || support == Support::Required; }

}  // namespace

std::span<const TargetRow> targets() { return kTargets; }

std::optional<Target> find_target(std::string_view name) {
  const auto* found =
      std::find_if(kTargets.begin(), kTargets.end(), [name](const TargetRow& row) { return row.name == name; });
  return found != kTargets.end() ? std::optional(found->target) : std::nullopt;
}

const TargetRow& target_row(Target target) {
  static constexpr TargetRow kNone{Target{}, "unknown", ""};
  const auto* found =
      std::find_if(kTargets.begin(), kTargets.end(), [target](const TargetRow& row) { return row.target == target; });
  return found != kTargets.end() ? *found : kNone;
}

std::string_view target_name(Target target) { return target_row(target).name; }

std::span<const ArchitectureRow> architectures() { return architecture_rows(); }

const ArchitectureRow* find_architecture(std::string_view name) {
  const auto rows = architecture_rows();
  const auto found =
      std::lower_bound(rows.begin(), rows.end(), name,
                       [](const ArchitectureRow& row, std::string_view wanted) { return row.name < wanted; });
  return found != rows.end() && found->name == name ? &*found : nullptr;
}

Support support(Target target, std::string_view architecture, RuleId id) {
  if (target == Target::GgufFuse) return Support::Yes;
  const ArchitectureRow* row = find_architecture(architecture);
  if (row == nullptr) return Support::Unknown;
  const Support mainline = entry(*row, rule(id).mainline);
  const Support ik = entry(*row, rule(id).ik);
  if (target == Target::LlamaCpp) return mainline;
  if (target == Target::IkLlamaCpp) return ik;
  if (reads(mainline) && reads(ik))
    return mainline == Support::Required || ik == Support::Required ? Support::Required : Support::Yes;
  if (mainline == Support::Crashes || ik == Support::Crashes) return Support::Crashes;
  return reads(mainline) ? ik : mainline;
}

}  // namespace gguf_fuse::fuse
