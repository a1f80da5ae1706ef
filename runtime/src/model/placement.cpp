// SPDX-License-Identifier: MIT
#include "gguf_fuse/runtime/placement.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "text/pattern.hpp"

namespace gguf_fuse::runtime {
namespace {

using Place = PlacementPlan::Place;
using Shares = std::vector<double>;

/// A share for each device, nothing for the one that only keeps the rest.
Shares shares_of(std::size_t devices, const PlacementOptions& options) {
  Shares shares(devices, 1);
  for (std::size_t i = 0; i < devices && !options.split.empty(); ++i) {
    shares[i] = i < options.split.size() ? std::max(0.0, options.split[i]) : 0;
  }
  if (options.offload && options.offload->rest) shares[*options.offload->rest] = 0;
  return shares;
}

/// Neighbours together, as many as the shares say.
std::vector<std::size_t> share_out(std::size_t layers, const Shares& shares) {
  Shares ends;
  double sum = 0;
  for (const double share : shares) ends.push_back(sum += share);
  std::vector<std::size_t> result;
  for (std::size_t layer = 0; layer < layers; ++layer) {
    const double position = (static_cast<double>(layer) + 0.5) / static_cast<double>(layers) * sum;
    const auto end = std::find_if(ends.begin(), ends.end(), [&](double e) { return position < e; });
    result.push_back(static_cast<std::size_t>(std::min(end, ends.end() - 1) - ends.begin()));
  }
  return result;
}

/// There is one.
std::size_t last_with_share(const Shares& shares) {
  const auto last = std::find_if(shares.rbegin(), shares.rend(), [](double share) { return share > 0; });
  return static_cast<std::size_t>(shares.rend() - last) - 1;
}

class Planner {
 public:
  Planner(std::span<const TensorGroup> groups, std::size_t devices, const PlacementOptions& options)
      : groups_(groups), devices_(devices), options_(options), layers_((groups.size() - 3) / 2) {
    plan_.places.resize(groups.size());
  }

  Result<PlacementPlan> plan() {
    place_layers();
    Place& input = plan_.places[GroupIndex::kInput];
    input = place_of_input();
    GGUF_FUSE_CHECK(apply_overrides());
    // What has no tensors of its own follows what has; and so does what is small and next to the first layer.
    if (tied()) input = {.device = output().device, .rule = PlacementRule::WithHead};
    Place& first = plan_.places[GroupIndex::kFirstLayer];
    if (!first.override) {
      first = {.device = plan_.places[GroupIndex::mixer(0)].device, .rule = PlacementRule::WithFirstLayer};
    }
    cut_into_splits();
    plan_.bytes.resize(devices_);
    for (std::size_t i = 0; i < groups_.size(); ++i) plan_.bytes[plan_.places[i].device] += groups_[i].bytes;
    return std::move(plan_);
  }

 private:
  [[nodiscard]] Place& output() { return plan_.places[GroupIndex::output(layers_)]; }
  /// The head's matrix serves lookups, too.
  [[nodiscard]] bool tied() const { return groups_[GroupIndex::kInput].tensors.empty(); }

  void place_layers() {
    const Shares shares = shares_of(devices_, options_);
    if (!options_.offload) {
      const auto rule = devices_ == 1 ? PlacementRule::OnlyDevice : PlacementRule::Share;
      const std::vector<std::size_t> shared = share_out(layers_, shares);
      for (std::size_t i = 0; i < layers_; ++i) place_layer(i, {.device = shared[i], .rule = rule});
      output() = {.device = shared.back(), .rule = devices_ == 1 ? rule : PlacementRule::WithLastLayer};
      return;
    }
    const PlacementOptions::Offload& offload = *options_.offload;
    const bool head = options_.output == OutputPlacement::First ? offload.layers > 0 : offload.layers > layers_;
    const std::size_t count = std::min<std::size_t>(layers_, offload.layers - (head ? 1 : 0));
    const std::vector<std::size_t> shared = share_out(count, shares);
    const std::size_t kept = layers_ - count;
    const Place rest{.device = offload.rest.value_or(0), .rule = PlacementRule::Rest};
    for (std::size_t i = 0; i < layers_; ++i) {
      place_layer(i, i < kept ? rest : Place{.device = shared[i - kept], .rule = PlacementRule::Offloaded});
    }
    output() = head ? Place{.device = last_with_share(shares), .rule = PlacementRule::Offloaded} : rest;
  }

  void place_layer(std::size_t layer, const Place& place) {
    plan_.places[GroupIndex::mixer(layer)] = place;
    plan_.places[GroupIndex::feed_forward(layer)] = place;
  }

  /// A lookup reads a row: of what is not offloaded it is the last to be.
  [[nodiscard]] Place place_of_input() const {
    const Place& first = plan_.places[GroupIndex::mixer(0)];
    if (devices_ == 1) return first;
    if (!options_.offload) return {.device = first.device, .rule = PlacementRule::WithFirstLayer};
    if (options_.offload->layers > layers_) return first;
    return {.device = *options_.offload->rest, .rule = PlacementRule::Rest};
  }

  /// The first override that fits counts, so the last one is applied first.
  Result<void> apply_overrides() {
    for (std::size_t i = options_.overrides.size(); i-- > 0;) {
      const PlacementOverride& override = options_.overrides[i];
      if (override.device >= devices_) {
        return fail({.code = ErrorCode::InvalidArgument,
                     .subject = escape_text(override.pattern),
                     .expected = fmt::format("device 0 to {}", devices_ - 1),
                     .actual = std::to_string(override.device)});
      }
      GGUF_FUSE_ASSIGN(const detail::Pattern pattern, detail::Pattern::compile(override.pattern));
      bool found = false;
      for (std::size_t g = 0; g < groups_.size(); ++g) {
        const std::vector<std::string>& names = groups_[g].tensors;
        if (std::none_of(names.begin(), names.end(), [&](const std::string& name) { return pattern.found_in(name); })) {
          continue;
        }
        plan_.places[g] = {.device = override.device, .rule = PlacementRule::Override, .override = i};
        found = true;
      }
      if (!found) plan_.idle_overrides.insert(plan_.idle_overrides.begin(), i);
    }
    return {};
  }

  void cut_into_splits() {
    const auto compute = [&](std::size_t group) {
      const std::size_t device = plan_.places[group].device;
      if (plan_.splits.empty() || plan_.splits.back().device != device) plan_.splits.push_back({.device = device});
      std::vector<std::size_t>& there = plan_.splits.back().groups;
      if (std::find(there.begin(), there.end(), group) == there.end()) there.push_back(group);
    };
    compute(GroupIndex::kInput);
    if (groups_[GroupIndex::kFirstLayer].bytes > 0) compute(GroupIndex::kFirstLayer);
    for (std::size_t i = 0; i < layers_; ++i) {
      if (groups_[GroupIndex::feed_forward(i)].ahead) compute(GroupIndex::feed_forward(i));
      compute(GroupIndex::mixer(i));
      compute(GroupIndex::feed_forward(i));
    }
    compute(GroupIndex::output(layers_));
  }

  std::span<const TensorGroup> groups_;
  std::size_t devices_;
  const PlacementOptions& options_;
  std::size_t layers_;
  PlacementPlan plan_;
};

/// Groups as GroupIndex has them, and devices that options may name.
Result<void> check(std::span<const TensorGroup> groups, std::size_t devices, const PlacementOptions& options) {
  const auto wrong = [](std::string subject, std::string expected, std::size_t actual) {
    return Error{.code = ErrorCode::InvalidArgument,
                 .subject = std::move(subject),
                 .expected = std::move(expected),
                 .actual = std::to_string(actual)};
  };
  if (groups.size() < 5 || groups.size() % 2 == 0) {
    return fail(wrong("groups of tensors", "3, and 2 a layer", groups.size()));
  }
  if (devices == 0) return fail(wrong("devices", "at least one", devices));
  if (!options.offload) return {};
  const auto& [layers, rest] = *options.offload;
  const std::size_t all = (groups.size() - 3) / 2 + 1;
  if (!rest && layers < all) {
    Error error = wrong("layers to offload", fmt::format("{}, or a device for the rest", all), layers);
    error.hint = "two devices by their names (-dev), or a driver that runs on every CPU: apt install pocl-opencl-icd";
    return fail(std::move(error));
  }
  if (rest && *rest >= devices) {
    return fail(wrong("device of the rest", fmt::format("0 to {}", devices - 1), *rest));
  }
  const Shares shares = shares_of(devices, options);
  if (layers == 0 || std::any_of(shares.begin(), shares.end(), [](double share) { return share > 0; })) return {};
  return fail(wrong("devices to offload to", "one with a share of the layers", 0));
}

}  // namespace

std::string_view role_name(TensorRole role) {
  constexpr std::string_view kNames[] = {"input", "first layer", "mixer", "feed-forward", "output"};
  return kNames[static_cast<std::size_t>(role)];
}

std::string_view rule_text(PlacementRule rule) {
  constexpr std::string_view kTexts[] = {"there is one device",    "its share of the layers", "offloaded",
                                         "not offloaded",          "in the head's matrix",    "next to the first layer",
                                         "next to the last layer", "an override names it"};
  return kTexts[static_cast<std::size_t>(rule)];
}

Result<PlacementPlan> plan_placement(std::span<const TensorGroup> groups, std::size_t devices,
                                     const PlacementOptions& options) {
  GGUF_FUSE_CHECK(check(groups, devices, options));
  return Planner(groups, devices, options).plan();
}

}  // namespace gguf_fuse::runtime
