// SPDX-License-Identifier: MIT
#include "explain_placement.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "print.hpp"

namespace gguf_fuse::cli {
namespace {

/// Groups of one role, of neighbouring layers; `whole` are both halves of them.
struct Run {
  TensorRole role;
  std::uint32_t first;
  std::uint32_t last;
  bool whole = false;
};

bool has_layer(TensorRole role) { return role == TensorRole::Mixer || role == TensorRole::FeedForward; }

std::string run_text(const Run& run) {
  if (!has_layer(run.role)) return std::string(role_name(run.role));
  const std::string layers =
      run.first == run.last ? fmt::format("layer {}", run.first) : fmt::format("layers {} to {}", run.first, run.last);
  return run.whole ? layers : fmt::format("{} of {}", role_name(run.role), layers);
}

/// "input, layers 3 to 7, mixer of layer 8".
std::string groups_text(const std::vector<TensorGroup>& groups, const std::vector<std::size_t>& indices) {
  std::vector<Run> runs;
  for (const std::size_t index : indices) {
    const TensorGroup& group = groups[index];
    const auto continued = std::find_if(runs.rbegin(), runs.rend(), [&](const Run& run) {
      return has_layer(group.role) && run.role == group.role && run.last + 1 == group.layer;
    });
    if (continued != runs.rend()) {
      continued->last = group.layer;
    } else {
      runs.push_back({.role = group.role, .first = group.layer, .last = group.layer});
    }
  }
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const bool both = has_layer(runs[i].role) && i + 1 < runs.size() && has_layer(runs[i + 1].role);
    runs[i].whole = both && runs[i].first == runs[i + 1].first && runs[i].last == runs[i + 1].last;
    texts.push_back(run_text(runs[i]));
    if (runs[i].whole) ++i;
  }
  return fmt::format("{}", fmt::join(texts, ", "));
}

std::string why(const PlacementPlan::Place& place, const DeviceChoice& choice) {
  if (!place.override) return std::string(rule_text(place.rule));
  return fmt::format("-ot \"{}\"", escape_text(choice.placement.overrides[*place.override].pattern));
}

/// Groups that are on one device for one reason.
struct Class {
  std::size_t device;
  std::string why;
  std::vector<std::size_t> groups{};
  std::uint64_t bytes = 0;
};

std::vector<Class> classes_of(const ExplainedPlacement& explained) {
  const std::vector<TensorGroup>& groups = explained.placement.groups;
  const PlacementPlan& plan = explained.placement.plan;
  std::vector<Class> classes;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (groups[i].bytes == 0 && groups[i].role == TensorRole::FirstLayer) continue;
    const std::string reason = why(plan.places[i], explained.choice);
    auto found = std::find_if(classes.begin(), classes.end(), [&](const Class& one) {
      return one.device == plan.places[i].device && one.why == reason;
    });
    if (found == classes.end()) {
      found = classes.insert(found, {.device = plan.places[i].device, .why = reason});
    }
    found->groups.push_back(i);
    found->bytes += groups[i].bytes;
  }
  return classes;
}

}  // namespace

Result<ExplainedPlacement> explain_placement(const EngineOptions& options) {
  ExplainedPlacement explained;
  GGUF_FUSE_ASSIGN(explained.choice, choose_devices(options));
  const ModelOptions model = model_options(options, explained.choice);
  GGUF_FUSE_ASSIGN(explained.placement, RunnableModel::plan(options.model, model, explained.choice.devices.size()));
  return explained;
}

std::string placement_text(const ExplainedPlacement& explained, std::size_t width) {
  const auto& [groups, plan, bytes_per_token] = explained.placement;
  Table devices({{"device", Align::Right}, {"weights", Align::Right}, {"name"}});
  for (std::size_t i = 0; i < plan.bytes.size(); ++i) {
    devices.add({std::to_string(i), format_bytes(plan.bytes[i]), escape_text(explained.choice.devices[i].name)});
  }
  Table tensors({{"device", Align::Right}, {"weights", Align::Right}, {"why"}, {"what"}});
  for (const Class& one : classes_of(explained)) {
    tensors.add({std::to_string(one.device), format_bytes(one.bytes), one.why, groups_text(groups, one.groups)});
  }
  Table splits({{"split", Align::Right}, {"device", Align::Right}, {"from"}, {"what"}});
  for (std::size_t i = 0; i < plan.splits.size(); ++i) {
    const std::string from =
        i == 0 ? "tokens"
               : fmt::format("device {}, {} a token", plan.splits[i - 1].device, format_bytes(bytes_per_token));
    splits.add(
        {std::to_string(i), std::to_string(plan.splits[i].device), from, groups_text(groups, plan.splits[i].groups)});
  }
  return fmt::format("{}\n{}\n{}", devices.render(width), tensors.render(width), splits.render(width));
}

Json placement_json(const ExplainedPlacement& explained) {
  const auto& [groups, plan, bytes_per_token] = explained.placement;
  Json devices = Json::array(), tensors = Json::array(), splits = Json::array();
  for (std::size_t i = 0; i < plan.bytes.size(); ++i) {
    const DeviceInfo& device = explained.choice.devices[i];
    devices.push_back({{"device", i}, {"index", device.index}, {"name", device.name}, {"bytes", plan.bytes[i]}});
  }
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const bool of_layer = has_layer(groups[i].role);
    tensors.push_back({{"role", role_name(groups[i].role)},
                       {"layer", of_layer ? Json(groups[i].layer) : Json(nullptr)},
                       {"device", plan.places[i].device},
                       {"bytes", groups[i].bytes},
                       {"why", why(plan.places[i], explained.choice)},
                       {"tensors", groups[i].tensors}});
  }
  for (std::size_t i = 0; i < plan.splits.size(); ++i) {
    splits.push_back({{"device", plan.splits[i].device},
                      {"groups", plan.splits[i].groups},
                      {"from", i == 0 ? Json(nullptr) : Json(plan.splits[i - 1].device)},
                      {"bytes_per_token", i == 0 ? std::uint64_t{0} : bytes_per_token}});
  }
  return {{"devices", std::move(devices)}, {"groups", std::move(tensors)}, {"splits", std::move(splits)}};
}

}  // namespace gguf_fuse::cli
