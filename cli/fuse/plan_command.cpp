// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "commands.hpp"
#include "json_output.hpp"
#include "outlook.hpp"
#include "plan_view.hpp"
#include "print.hpp"

namespace gguf_fuse::cli {
namespace {

std::string headline(const Options& options, const ModelInfo& model) {
  const auto architecture = model.metadata().get_string("general.architecture").value_or("unknown architecture");
  return fmt::format("{}: {}, {}, {}; target {}\n\n", escape_text(options.request.input), escape_text(architecture),
                     plural(model.tensor_count(), "tensor"), format_bytes(model.total_bytes()),
                     target_name(options.request.fuse.target));
}

std::string explanation(const std::vector<DecisionGroup>& groups, std::size_t width) {
  Table table({{"layers"}, {"rule"}, {"decision"}, {"bytes", Align::Right}, {"why"}});
  for (const DecisionGroup& group : groups) {
    const Rule& row = rule(group.rule);
    table.add({format_layers(group.layers), std::string(row.name),
               group.fused ? fmt::format("fuse to {}", row.result) : "keep",
               group.bytes == 0 ? "" : format_bytes(group.bytes), group.reason.text()});
  }
  return table.render(width);
}

/// The options that this plan was made with.
std::string selection(const FuseOptions& fuse) {
  std::string text;
  if (fuse.target != FuseOptions{}.target) text += fmt::format(" --target {}", target_name(fuse.target));
  const auto families = rule_families();
  const auto is_chosen = [&fuse](const RuleFamily& family) { return fuse.*family.chosen; };
  const bool all = std::all_of(families.begin(), families.end(), is_chosen);
  for (const RuleFamily& family : families) {
    if (!all && is_chosen(family)) text += fmt::format(" --only {}", family.name);
  }
  if (!fuse.layers) return text;
  const auto [first, last] = *fuse.layers;
  const bool to_the_end = last == std::numeric_limits<std::uint32_t>::max();
  return text + (to_the_end ? fmt::format(" --layers {}-", first) : fmt::format(" --layers {}-{}", first, last));
}

std::string output_name(const std::string& input) {
  if (input == "-") return "fused.gguf";
  std::string name = input;
  if (const auto shard = parse_shard_name(name)) return shard->prefix + "-fused.gguf";
  for (const std::string_view ending : {".gz", ".gguf"}) {
    if (name.size() > ending.size() && name.compare(name.size() - ending.size(), ending.size(), ending) == 0)
      name.resize(name.size() - ending.size());
  }
  return name + "-fused.gguf";
}

/// What to type now: convert, or, where nothing fuses, another target, or our own runtime, which fuses while it loads.
std::string next_command(const Options& options, const Plan& plan, const Outlook& outlook) {
  const std::string input = shell_word(escape_text(options.request.input));
  if (plan.fused_count() > 0) {
    return fmt::format("gguf-fuse convert{} {} {}", selection(options.request.fuse), input,
                       shell_word(escape_text(output_name(options.request.input))));
  }
  if (!outlook.alternatives.empty()) {
    return fmt::format("gguf-fuse plan --target {} {}", target_name(outlook.alternatives.front().target), input);
  }
  return fmt::format("gguf-run -m {}", input);
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
    const bool own = options.request.fuse.target == Target::GgufFuse;
    table.add({"loads in", (own ? "gguf-run; " : "") + engines});
  }
  for (const Alternative& other : outlook.alternatives) {
    table.add({"hint", alternative_text(other, plan.fused_count() > 0)});
  }
  if (!options.explain && !plan.decisions.empty())
    table.add({"hint", "--explain lists every decision with its layers"});
  // never broken, so that it can be copied
  return table.render(width) + "\nnext:  " + next_command(options, plan, outlook) + "\n";
}

Json plan_json(const Options& options, const Plan& plan, const ModelInfo& model) {
  Json json{{"command", "plan"},
            {"path", options.request.input},
            {"architecture", model.metadata().get_string("general.architecture").value_or("")},
            {"target", target_name(options.request.fuse.target)},
            {"fused", plan.fused_count()},
            {"tensors", {{"before", model.tensor_count()}, {"after", planned_tensors(plan)}}},
            {"matrix_products", {{"before", matrix_products(model)}, {"after", matrix_products(plan)}}},
            {"bytes", {{"input", model.total_bytes()}, {"output", plan.total_bytes()}}}};
  add_outlook(json, look_ahead(plan, model, options.request.fuse));
  json["decisions"] = decisions_json(plan);
  json["warnings"] = reasons_json(plan.warnings);
  return json;
}

}  // namespace

Result<void> plan_command(const Options& asked) {
  GGUF_FUSE_ASSIGN(Model model, open_model(asked.request.input));
  Options options = asked;
  GGUF_FUSE_ASSIGN(options.request.fuse.scales, read_scales(model));
  GGUF_FUSE_ASSIGN(const Plan plan, plan_fuse(model.info, options.request.fuse));
  if (options.json) {
    put_json(stdout, plan_json(options, plan, model.info));
    return {};
  }
  const std::size_t width = terminal_width(stdout);
  const std::vector<DecisionGroup> groups = group_decisions(plan);
  std::string text = headline(options, model.info);
  if (groups.empty()) {
    text += "This model has no tensors that any rule fuses.\n\n";
  } else {
    text += (options.explain ? explanation(groups, width) : layer_bars(groups, PlanStyle::of_output())) + "\n";
  }
  text += outlook_lines(options, plan, model.info, width);
  for (const Reason& warning : plan.warnings) text += fmt::format("warning: {}\n", escape_text(warning.text()));
  put(stdout, text);
  return {};
}

}  // namespace gguf_fuse::cli
