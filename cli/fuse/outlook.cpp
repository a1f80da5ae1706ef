// SPDX-License-Identifier: MIT
#include "outlook.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <iterator>
#include <map>
#include <set>
#include <utility>

#include "gguf_fuse/fuse/part_names.hpp"
#include "print.hpp"

namespace gguf_fuse::cli {
namespace {

/// What is fused, independent of the plan it is in.
using FusedSet = std::set<std::pair<RuleId, std::uint32_t>>;

FusedSet fused_set(const Plan& plan) {
  FusedSet fused;
  for (const Decision& decision : plan.decisions) {
    if (decision.fused()) fused.emplace(decision.rule, decision.layer);
  }
  return fused;
}

FusedSet without(const FusedSet& all, const FusedSet& some) {
  FusedSet rest;
  std::set_difference(all.begin(), all.end(), some.begin(), some.end(), std::inserter(rest, rest.end()));
  return rest;
}

/// Whether what a rule makes of a layer is a part of what another one makes, and no tensor of the file.
bool is_part(const FusedSet& fused, const Rule& part, std::uint32_t layer) {
  return std::any_of(rules().begin(), rules().end(), [&](const Rule& whole) {
    const auto names = whole.part_names();
    return !whole.numbered() && std::find(names.begin(), names.end(), part.result) != names.end() &&
           fused.count({whole.id, layer}) != 0 && whole.id != part.id;
  });
}

std::string count_text(const FusedSet& fused) {
  std::vector<std::string> parts;
  for (const Rule& row : rules()) {
    const auto count = std::count_if(fused.begin(), fused.end(), [&](const auto& item) {
      return item.first == row.id && !is_part(fused, row, item.second);
    });
    if (count > 0) parts.push_back(fmt::format("{} x {} ({})", count, row.result, row.name));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

/// The first tensor type that the engine cannot read.
const TensorType* foreign_type(const Plan& plan, const TargetRow& engine) {
  for (const PlannedFile& file : plan.files) {
    for (const PlannedTensor& tensor : file.tensors) {
      if (tensor.type != nullptr && (tensor.type->engines & engine.engines) == 0) return tensor.type;
    }
  }
  return nullptr;
}

std::string_view architecture_of(const ModelInfo& model) {
  return model.metadata().get_string("general.architecture").value_or(std::string_view());
}

/// Whether the first part is a tensor of its own: what is not fused may also have been stored fused by design.
bool is_separate(const Plan& plan, const Decision& decision) {
  if (decision.parts.empty()) return false;
  const std::string part = fmt::format("blk.{}.{}.weight", decision.layer, decision.parts.front());
  return std::any_of(plan.files.begin(), plan.files.end(), [&](const PlannedFile& file) {
    return std::any_of(file.tensors.begin(), file.tensors.end(),
                       [&](const PlannedTensor& tensor) { return tensor.name == part; });
  });
}

/// Why `engine` will not load what `plan` writes; nothing when it will. `own` is the plan made for that engine.
std::optional<Reason> find_obstacle(const Plan& plan, const Plan& own, const ModelInfo& model,
                                    const TargetRow& engine) {
  const auto because = [&engine](ReasonCode code, std::string_view what) {
    return Reason{.code = code, .arguments = {std::string(what)}, .engine = std::string(engine.name)};
  };
  if (const TensorType* type = foreign_type(plan, engine)) return because(ReasonCode::EngineUnknownType, type->name);
  const std::string_view architecture = architecture_of(model);
  const auto is_unknown = [&](const Rule& rule) {
    return support(engine.target, architecture, rule.id) == Support::Unknown;
  };
  if (std::any_of(rules().begin(), rules().end(), is_unknown))
    return because(ReasonCode::EngineUnknownArchitecture, escape_text(architecture));
  const FusedSet accepted = fused_set(own);
  for (const Decision& decision : plan.decisions) {
    const std::string_view result = rule(decision.rule).result;
    if (!decision.fused()) {
      const bool required = support(engine.target, architecture, decision.rule) == Support::Required;
      if (required && is_separate(plan, decision)) return because(ReasonCode::EngineNeedsFused, result);
      continue;
    }
    if (accepted.count({decision.rule, decision.layer}) != 0) continue;
    const auto same = std::find_if(own.decisions.begin(), own.decisions.end(), [&](const Decision& other) {
      return other.rule == decision.rule && other.layer == decision.layer;
    });
    return same == own.decisions.end() ? because(ReasonCode::EngineNeedsParts, result) : same->reason;
  }
  return std::nullopt;
}

bool is_matrix(std::string_view name, std::uint32_t dimension_count, bool has_output) {
  const auto holds = [name](std::string_view part) { return name.find(part) != std::string_view::npos; };
  // of a layer's experts, each in a tensor of its own, a token is multiplied with as many as of stacked ones
  const auto expert = split_number(name.substr(0, name.rfind('.')));
  if (expert && expert->number != 0) return false;
  if (dimension_count < 2 || holds("norm") || holds("conv1d") || holds(".bias") || holds(".scale")) return false;
  // with tied embeddings the table of tokens is the output matrix too
  if (name == "token_embd.weight") return !has_output;
  return name == "output.weight" || name.compare(0, 4, "blk.") == 0;
}

template <typename Files>
std::uint64_t count_products(const Files& files) {
  bool has_output = false;
  for (const auto& file : files) {
    for (const auto& tensor : file.tensors) has_output = has_output || tensor.name == "output.weight";
  }
  std::uint64_t count = 0;
  for (const auto& file : files) {
    for (const auto& tensor : file.tensors)
      if (is_matrix(tensor.name, tensor.dimension_count, has_output)) ++count;
  }
  return count;
}

}  // namespace

Outlook look_ahead(const Plan& plan, const ModelInfo& model, const FuseOptions& options) {
  Outlook outlook;
  const FusedSet fused = fused_set(plan);
  const bool known = find_architecture(architecture_of(model)) != nullptr;  // of others nothing can be promised
  for (const TargetRow& row : targets()) {
    FuseOptions other = options;
    other.target = row.target;
    other.split = {};
    const auto own = plan_fuse(model, other);
    if (!own) continue;
    if (known && std::has_single_bit(row.engines))
      outlook.engines.push_back({row.target, find_obstacle(plan, *own, model, row)});
    const FusedSet theirs = fused_set(*own);
    const FusedSet more = without(theirs, fused);
    if (row.target == options.target || more.empty()) continue;
    outlook.alternatives.push_back({row.target, count_text(more), count_text(without(fused, theirs))});
  }
  return outlook;
}

void add_outlook(Json& json, const Outlook& outlook) {
  Json engines = Json::object(), alternatives = Json::object();
  for (const auto& [engine, obstacle] : outlook.engines) {
    engines[std::string(target_name(engine))] = {{"loads", !obstacle}, {"reason", obstacle ? obstacle->text() : ""}};
  }
  for (const auto& [target, more, less] : outlook.alternatives)
    alternatives[std::string(target_name(target))] = {{"more", more}, {"less", less}};
  json["engines"] = std::move(engines);
  json["alternatives"] = std::move(alternatives);
}

std::string fused_text(const Plan& plan) { return count_text(fused_set(plan)); }

std::string engines_text(const Outlook& outlook) {
  std::vector<std::string> loading, failing;
  for (const EngineVerdict& verdict : outlook.engines) {
    const std::string_view name = target_name(verdict.engine);
    if (!verdict.obstacle) {
      loading.emplace_back(name);
      continue;
    }
    const Reason& reason = *verdict.obstacle;
    failing.push_back(fmt::format("not {}{} {}", name, reason.engine.empty() ? ":" : ", which", reason.clause()));
  }
  std::string text = fmt::format("{}", fmt::join(loading, " and "));
  for (const std::string& reason : failing) text += (text.empty() ? "" : "; ") + reason;
  return text;
}

std::string alternative_text(const Alternative& alternative, bool also) {
  const bool own = alternative.target == Target::GgufFuse;
  return fmt::format("--target {}{} would {}fuse {}{}", target_name(alternative.target),
                     own ? " (this project's own runtime)" : "", also && alternative.less.empty() ? "also " : "",
                     alternative.more, alternative.less.empty() ? "" : ", but not " + alternative.less);
}

std::string main_reason(const Plan& plan) {
  std::map<std::pair<std::string_view, Reason>, std::uint64_t> counts;
  for (const Decision& decision : plan.decisions) {
    if (!decision.fused()) ++counts[{rule(decision.rule).name, decision.reason}];
  }
  const auto most =
      std::max_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most == counts.end()) return {};
  const auto& [name, reason] = most->first;
  return fmt::format("{}: {} ({})", name, reason.text(), plural(most->second, "layer"));
}

std::uint64_t merged_tensors(const Plan& plan) {
  std::uint64_t count = 0;
  for (const Decision& decision : plan.decisions) {
    if (decision.fused()) count += decision.parts.size() - 1;
  }
  return count;
}

std::uint64_t planned_tensors(const Plan& plan) {
  std::uint64_t count = 0;
  for (const PlannedFile& file : plan.files) count += file.tensors.size();
  return count;
}

std::uint64_t matrix_products(const ModelInfo& model) { return count_products(model.shards); }
std::uint64_t matrix_products(const Plan& plan) { return count_products(plan.files); }

}  // namespace gguf_fuse::cli
