// SPDX-License-Identifier: MIT
#include "placement.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <iterator>
#include <set>

#include "print.hpp"
#include "suggest.hpp"

namespace gguf_fuse::cli {
namespace {

std::string_view device_type_name(DeviceType type) {
  constexpr std::string_view kTypes[] = {"CPU", "GPU", "accelerator"};
  return kTypes[static_cast<std::size_t>(type)];
}

bool is_cpu(const DeviceInfo& device) { return device.type == DeviceType::Cpu; }

using Devices = std::vector<DeviceInfo>;

Error wrong_devices(std::string subject, std::string expected, std::string actual) {
  return {.code = ErrorCode::InvalidArgument,
          .subject = std::move(subject),
          .expected = std::move(expected),
          .actual = std::move(actual),
          .hint = "--list-devices shows what there is"};
}

/// The first `count` devices, GPUs before CPUs.
Result<Devices> first_devices(Devices all, std::size_t count) {
  if (all.size() < count) return fail(wrong_devices("-ts", plural(count, "device"), plural(all.size(), "device")));
  std::stable_partition(all.begin(), all.end(), [](const DeviceInfo& device) { return !is_cpu(device); });
  all.resize(count);
  return all;
}

Result<Devices> wanted_devices(const EngineOptions& options, const Devices& all) {
  if (options.devices == "none") {
    const auto cpu = std::find_if(all.begin(), all.end(), is_cpu);
    if (cpu == all.end()) return fail(wrong_devices("-dev none", "a CPU device", "none"));
    return Devices{*cpu};
  }
  if (!options.devices.empty()) return select_devices(all, options.devices);
  if (options.loading.placement.split.size() > 1) return first_devices(all, options.loading.placement.split.size());
  GGUF_FUSE_ASSIGN(DeviceInfo device, default_device(all));
  return Devices{std::move(device)};
}

/// All devices but the last are offloaded to; a GPU alone has the first CPU device behind it.
void offload_layers(DeviceChoice& choice, const Devices& all, std::uint32_t layers) {
  if (choice.devices.size() == 1) {
    if (is_cpu(choice.devices.front())) {
      choice.notes.emplace_back("-ngl has no effect: no GPU is used; -dev A,B offloads layers of B to A");
      return;
    }
    const auto cpu = std::find_if(all.begin(), all.end(), is_cpu);
    if (cpu != all.end()) choice.devices.push_back(*cpu);
  }
  const bool rest = choice.devices.size() > 1;
  if (layers == 0 && rest) {
    choice.devices = {choice.devices.back()};
    return;
  }
  choice.placement.offload = {.layers = layers, .rest = {}};
  if (rest) choice.placement.offload->rest = choice.devices.size() - 1;
}

/// What a pattern says that is no operator.
std::string longest_word(std::string_view pattern) {
  std::string longest, word;
  for (const char letter : pattern) {
    if (std::isalnum(static_cast<unsigned char>(letter)) != 0 || letter == '_') {
      word += letter;
    } else {
      word.clear();
    }
    if (word.size() > longest.size()) longest = word;
  }
  return longest;
}

/// Names of tensors without their layer and without ".weight", each once.
std::vector<std::string> parts_of(const std::vector<TensorGroup>& groups) {
  std::set<std::string> parts;
  for (const TensorGroup& group : groups) {
    for (const std::string& name : group.tensors) {
      const std::size_t begin = name.starts_with("blk.") ? name.find('.', 4) + 1 : 0;
      parts.insert(name.substr(begin, name.find('.', begin) - begin));
    }
  }
  return {parts.begin(), parts.end()};
}

/// The index of a device among the chosen ones. One that is not among them joins them, without layers of its own.
std::size_t index_of(DeviceChoice& choice, const DeviceInfo& device) {
  const auto same = [&](const DeviceInfo& other) { return other.index == device.index; };
  const auto found = std::find_if(choice.devices.begin(), choice.devices.end(), same);
  const auto index = static_cast<std::size_t>(found - choice.devices.begin());
  if (found != choice.devices.end()) return index;
  std::vector<double>& split = choice.placement.split;
  if (split.empty()) split.assign(choice.devices.size(), 1);
  split.push_back(0);
  choice.devices.push_back(device);
  return index;
}

Result<void> resolve_overrides(const EngineOptions& options, const Devices& all, DeviceChoice& choice) {
  for (const OverrideText& text : options.overrides) {
    Devices found;
    if (text.device == "CPU") {
      std::copy_if(all.begin(), all.end(), std::back_inserter(found), is_cpu);
      if (found.empty()) return fail(wrong_devices("-ot", "a CPU device", "none"));
    } else {
      GGUF_FUSE_ASSIGN(found, select_devices(all, text.device));
    }
    choice.placement.overrides.push_back({.pattern = text.pattern, .device = index_of(choice, found.front())});
  }
  return {};
}

/// -dev and -ts, then -ngl.
Result<DeviceChoice> choose_layers(const EngineOptions& options, const Devices& all) {
  DeviceChoice choice{.placement = options.loading.placement};
  GGUF_FUSE_ASSIGN(choice.devices, wanted_devices(options, all));
  if (!options.loading.placement.split.empty() && options.loading.placement.split.size() != choice.devices.size()) {
    return fail(wrong_devices("-ts", plural(choice.devices.size(), "share") + ", as there are devices",
                              std::to_string(options.loading.placement.split.size())));
  }
  if (!options.gpu_layers) return choice;
  if (!choice.placement.split.empty()) {
    choice.notes.emplace_back("-ngl has no effect: -ts says how layers are split");
  } else {
    offload_layers(choice, all, *options.gpu_layers);
  }
  return choice;
}

}  // namespace

Result<DeviceChoice> choose_devices(const EngineOptions& options, const Devices& all) {
  GGUF_FUSE_ASSIGN(DeviceChoice choice, choose_layers(options, all));
  GGUF_FUSE_CHECK(resolve_overrides(options, all, choice));
  return choice;
}

Result<DeviceChoice> choose_devices(const EngineOptions& options) {
  GGUF_FUSE_ASSIGN(const Devices all, list_devices());
  return choose_devices(options, all);
}

std::vector<std::string> idle_override_texts(const std::vector<OverrideText>& overrides,
                                             const ModelPlacement& placement) {
  const std::vector<std::size_t>& idle = placement.plan.idle_overrides;
  const auto is_idle = [&idle](std::size_t i) { return std::find(idle.begin(), idle.end(), i) != idle.end(); };
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < overrides.size(); ++i) {
    if (overrides[i].option != OverrideOption::Pattern || !is_idle(i)) continue;
    lines.push_back(fmt::format("-ot \"{}\" has no effect: no matrix has such a name{}", overrides[i].pattern,
                                did_you_mean(longest_word(overrides[i].pattern), parts_of(placement.groups))));
  }
  // of the patterns for single layers some may well find nothing: dense layers before those with experts
  constexpr std::pair<OverrideOption, std::string_view> kSingle[] = {{OverrideOption::CpuMoe, "-cmoe"},
                                                                     {OverrideOption::CpuMoeLayers, "-ncmoe"}};
  for (const auto& [option, name] : kSingle) {
    std::size_t given = 0, without = 0;
    for (std::size_t i = 0; i < overrides.size(); ++i) {
      if (overrides[i].option != option) continue;
      ++given;
      without += is_idle(i) ? 1U : 0U;
    }
    if (given > 0 && given == without) {
      lines.push_back(fmt::format("{} has no effect: there are no experts in these layers", name));
    }
  }
  return lines;
}

Activations activations_for(const EngineOptions& options, const std::vector<std::shared_ptr<Device>>& devices) {
  const bool eight_bit =
      std::all_of(devices.begin(), devices.end(), [](const auto& device) { return device->profile().eight_bit; });
  return options.activations.value_or(eight_bit ? Activations::Q8 : Activations::F32);
}

ModelOptions model_options(const EngineOptions& options, const DeviceChoice& choice) {
  ModelOptions model = options.loading;
  model.placement = choice.placement;
  model.fuse_gate_up = merges_gate_up(options);
  model.fuse_qkv = merges_qkv(options);
  return model;
}

Result<std::vector<std::shared_ptr<Device>>> open_devices(const DeviceChoice& choice, const EngineOptions& options,
                                                          const Log& log, BuildCount* builds) {
  DeviceOptions device_options = options.device;
  device_options.log = log;
  device_options.builds = builds;
  std::vector<std::shared_ptr<Device>> devices;
  for (const DeviceInfo& info : choice.devices) {
    GGUF_FUSE_ASSIGN(auto device, Device::open(info, device_options));
    devices.push_back(std::move(device));
  }
  return devices;
}

Result<std::string> device_table(std::size_t width) {
  GGUF_FUSE_ASSIGN(const Devices all, list_devices());
  GGUF_FUSE_ASSIGN(const DeviceInfo first, default_device(all));
  Table table({{"", Align::Right}, {"type"}, {"units", Align::Right}, {"memory", Align::Right}, {"device"}});
  for (const DeviceInfo& device : all) {
    table.add({fmt::format("{}{}", device.index == first.index ? "*" : "", device.index),
               std::string(device_type_name(device.type)), std::to_string(device.compute_units),
               format_bytes(device.global_bytes), escape_text(fmt::format("{} ({})", device.name, device.platform))});
  }
  return table.render(width) + "* is used unless -dev names another\n";
}

Result<Json> device_json() {
  GGUF_FUSE_ASSIGN(const Devices all, list_devices());
  GGUF_FUSE_ASSIGN(const DeviceInfo first, default_device(all));
  Json rows = Json::array();
  for (const DeviceInfo& device : all) {
    rows.push_back({{"index", device.index},
                    {"type", device_type_name(device.type)},
                    {"units", device.compute_units},
                    {"memory_bytes", device.global_bytes},
                    {"name", device.name},
                    {"platform", device.platform},
                    {"driver", device.driver},
                    {"default", device.index == first.index}});
  }
  return Json{{"devices", std::move(rows)}};
}

}  // namespace gguf_fuse::cli
