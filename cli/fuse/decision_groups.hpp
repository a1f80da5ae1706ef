// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gguf_fuse/fuse/plan.hpp"
#include "json_output.hpp"

namespace gguf_fuse::cli {

/// Layers of one rule that were decided alike, for the same reason.
struct DecisionGroup {
  RuleId rule;
  Reason reason;
  bool fused = false;
  std::vector<std::string> parts;
  std::string result;
  std::vector<std::uint32_t> layers;
  std::uint64_t bytes = 0;
};

[[nodiscard]] std::vector<DecisionGroup> group_decisions(const Plan& plan);
/// An entry a group.
[[nodiscard]] Json decisions_json(const Plan& plan);
/// Their sentences.
[[nodiscard]] Json reasons_json(const std::vector<Reason>& reasons);

}  // namespace gguf_fuse::cli
