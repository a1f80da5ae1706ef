// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>

#include "commands.hpp"
#include "json_output.hpp"
#include "outlook.hpp"
#include "print.hpp"

namespace gguf_fuse::cli {
namespace {

/// Layers of one rule that were decided alike, for the same reason.
struct Group {
  RuleId rule;
  bool fused = false;
  std::string reason;
  std::vector<std::uint32_t> layers;
  std::uint64_t bytes = 0;
};

std::vector<Group> group_decisions(const Plan& plan) {
  std::vector<Group> groups;
  for (const Decision& decision : plan.decisions) {
    const std::string reason = general_reason(decision);
    auto group = std::find_if(groups.begin(), groups.end(), [&](const Group& known) {
      return known.rule == decision.rule && known.fused == decision.fused && known.reason == reason;
    });
    if (group == groups.end()) group = groups.insert(groups.end(), {decision.rule, decision.fused, reason, {}, 0});
    group->layers.push_back(decision.layer);
    group->bytes += decision.bytes;
  }
  return groups;
}

std::string headline(const Options& options, const ModelInfo& model) {
  const auto architecture = model.metadata().get_string("general.architecture").value_or("unknown architecture");
  return fmt::format("{}: {}, {}, {}; target {}\n\n", escape_text(options.request.input), escape_text(architecture),
                     plural(model.tensor_count(), "tensor"), format_bytes(model.total_bytes()),
                     target_name(options.request.fuse.target));
}

std::string explanation(const std::vector<Group>& groups, std::size_t width) {
  Table table({{"layers"}, {"rule"}, {"decision"}, {"bytes", Align::Right}, {"why"}});
  for (const Group& group : groups) {
    const Rule& row = rule(group.rule);
    table.add({format_layers(group.layers), std::string(row.name),
               group.fused ? fmt::format("fuse to {}", row.result) : "keep",
               group.bytes == 0 ? "" : format_bytes(group.bytes), group.reason});
  }
  return table.render(width);
}

/// A line a rule: how many of its layers are fused, and the main reason where not all are.
std::string overview(const std::vector<Group>& groups, std::size_t width) {
  Table table({{""}, {""}, {""}});
  for (const Rule& row : rules()) {
    std::size_t fused = 0, all = 0;
    std::uint64_t bytes = 0;
    const Group* reason = nullptr;
    for (const Group& group : groups) {
      if (group.rule != row.id) continue;
      all += group.layers.size();
      if (group.fused) {
        fused += group.layers.size();
        bytes += group.bytes;
      } else if (reason == nullptr || group.layers.size() > reason->layers.size()) {
        reason = &group;
      }
    }
    if (all == 0) continue;
    std::string text = fused == 0 ? "" : fmt::format("to {}, {}", row.result, format_bytes(bytes));
    if (reason != nullptr) text += (text.empty() ? "" : "; otherwise ") + reason->reason;
    const std::string count = fused == 0 ? "not fused" : fmt::format("fused in {} of {} layers", fused, all);
    table.add({std::string(row.name), count, text});
  }
  return table.render(width);
}

std::string products_text(const Plan& plan, const ModelInfo& model) {
  const std::uint64_t before = matrix_products(model), after = matrix_products(plan);
  return fmt::format("{} -> {} matrix products per token; the bytes of weights they read stay the same", before, after);
}

std::string speed_text(const Plan& plan) {
  if (plan.fused_count() == 0) return "unchanged";
  return "fewer, larger products save launches, not bytes: worth something where launches cost (GPUs, small layers), "
         "nothing where memory bandwidth is the limit; docs/performance.md has measurements";
}

std::string outlook_lines(const Options& options, const Plan& plan, const ModelInfo& model, std::size_t width) {
  const Outlook outlook = look_ahead(plan, model, options.request.fuse);
  const std::uint64_t after = planned_tensors(plan);
  Table table({{""}, {""}});
  table.add({"tensors", fmt::format("{} -> {}", model.tensor_count(), after)});
  table.add({"products", products_text(plan, model)});
  table.add({"speed", speed_text(plan)});
  if (const std::string engines = engines_text(outlook); !engines.empty() && plan.fused_count() > 0) {
    table.add({"loads in", engines});
  }
  for (const Alternative& other : outlook.alternatives) {
    table.add({"hint", alternative_text(other, plan.fused_count() > 0)});
  }
  if (!options.explain && !plan.decisions.empty())
    table.add({"hint", "--explain lists every decision with its layers"});
  return table.render(width);
}

Json plan_json(const Options& options, const Plan& plan, const ModelInfo& model) {
  const Outlook outlook = look_ahead(plan, model, options.request.fuse);
  Json json{{"command", "plan"},
            {"path", options.request.input},
            {"architecture", model.metadata().get_string("general.architecture").value_or("")},
            {"target", target_name(options.request.fuse.target)},
            {"fused", plan.fused_count()},
            {"tensors", {{"before", model.tensor_count()}, {"after", planned_tensors(plan)}}},
            {"matrix_products", {{"before", matrix_products(model)}, {"after", matrix_products(plan)}}},
            {"bytes", {{"input", model.total_bytes()}, {"output", plan.total_bytes()}}}};
  json["engines"] = Json::object();
  for (const EngineVerdict& verdict : outlook.engines) {
    json["engines"][std::string(target_name(verdict.engine))] = {{"loads", verdict.loads}, {"reason", verdict.reason}};
  }
  json["alternatives"] = Json::object();
  for (const Alternative& other : outlook.alternatives) {
    json["alternatives"][std::string(target_name(other.target))] = {{"more", other.more}, {"less", other.less}};
  }
  json["decisions"] = decisions_json(plan);
  json["warnings"] = plan.warnings;
  return json;
}

}  // namespace

Result<void> plan_command(const Options& options) {
  GGUF_FUSE_ASSIGN(const Model model, open_model(options.request.input));
  GGUF_FUSE_ASSIGN(const Plan plan, plan_fuse(model.info, options.request.fuse));
  if (options.json) {
    put_json(stdout, plan_json(options, plan, model.info));
    return {};
  }
  const std::size_t width = terminal_width(stdout);
  const std::vector<Group> groups = group_decisions(plan);
  std::string text = headline(options, model.info);
  if (groups.empty()) {
    text += "This model has no tensors that any rule fuses.\n\n";
  } else {
    text += (options.explain ? explanation(groups, width) : overview(groups, width)) + "\n";
  }
  text += outlook_lines(options, plan, model.info, width);
  for (const std::string& warning : plan.warnings) text += fmt::format("warning: {}\n", escape_text(warning));
  put(stdout, text);
  return {};
}

}  // namespace gguf_fuse::cli
