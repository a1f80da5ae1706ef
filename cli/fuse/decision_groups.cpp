// SPDX-License-Identifier: MIT
#include "decision_groups.hpp"

#include <algorithm>

#include "gguf_fuse/fuse/part_names.hpp"

namespace gguf_fuse::cli {

std::vector<DecisionGroup> group_decisions(const Plan& plan) {
  std::vector<DecisionGroup> groups;
  for (const Decision& decision : plan.decisions) {
    auto group = std::find_if(groups.begin(), groups.end(), [&](const DecisionGroup& known) {
      return known.rule == decision.rule && known.reason == decision.reason && known.parts == decision.parts;
    });
    if (group == groups.end()) {
      groups.push_back({decision.rule, decision.reason, decision.fused(), decision.parts, decision.result, {}, 0});
      group = groups.end() - 1;
    }
    group->layers.push_back(decision.layer);
    group->bytes += decision.bytes;
  }
  return groups;
}

Json decisions_json(const Plan& plan) {
  Json decisions = Json::array();
  for (const DecisionGroup& group : group_decisions(plan)) {
    decisions.push_back({{"rule", rule(group.rule).name},
                         {"layers", group.layers},
                         {"fused", group.fused},
                         {"reason", group.reason.text()},
                         {"parts", group_names(group.parts)},
                         {"result", group.result},
                         {"bytes", group.bytes}});
  }
  return decisions;
}

Json reasons_json(const std::vector<Reason>& reasons) {
  Json json = Json::array();
  for (const Reason& reason : reasons) json.push_back(reason.text());
  return json;
}

}  // namespace gguf_fuse::cli
