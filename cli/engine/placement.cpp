// SPDX-License-Identifier: MIT
#include "placement.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "gguf_fuse/loader/model.hpp"
#include "print.hpp"

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
  if (options.loading.split.size() > 1) return first_devices(all, options.loading.split.size());
  GGUF_FUSE_ASSIGN(DeviceInfo device, default_device(all));
  return Devices{std::move(device)};
}

/// Moves all but the last `gpu_layers` layers to a CPU.
Result<void> split_by_layers(DeviceChoice& choice, const Devices& all, std::uint32_t gpu_layers, std::uint32_t layers) {
  if (gpu_layers >= layers) return {};
  const auto gpu = std::find_if_not(choice.devices.begin(), choice.devices.end(), is_cpu);
  auto cpu = std::find_if(choice.devices.begin(), choice.devices.end(), is_cpu);
  const bool chosen = cpu != choice.devices.end();
  const auto other = std::find_if(all.begin(), all.end(), is_cpu);
  if (!chosen && other == all.end()) {
    choice.notes.emplace_back("-ngl has no effect: there is no CPU device to take the other layers");
    return {};
  }
  const DeviceInfo rest = chosen ? *cpu : *other;
  choice.devices = gpu_layers == 0 ? Devices{rest} : Devices{rest, *gpu};
  if (gpu_layers > 0) choice.split = {static_cast<double>(layers - gpu_layers), static_cast<double>(gpu_layers)};
  return {};
}

Result<std::uint32_t> layer_count(const std::string& path) {
  if (path == "-") {
    return fail(Error{.code = ErrorCode::InvalidArgument,
                      .subject = "-ngl",
                      .expected = "a model in a file",
                      .actual = "standard input",
                      .hint = "split the layers with -ts"});
  }
  GGUF_FUSE_ASSIGN(const Model model, open_model(path));
  GGUF_FUSE_ASSIGN(const std::string_view architecture, model.info.metadata().get_string("general.architecture"));
  GGUF_FUSE_ASSIGN(const std::uint64_t layers,
                   model.info.metadata().get_unsigned(fmt::format("{}.block_count", architecture)));
  return static_cast<std::uint32_t>(layers);
}

/// The index of a device among the chosen ones. One that is not among them joins them, without layers of its own.
std::size_t index_of(DeviceChoice& choice, const DeviceInfo& device) {
  const auto same = [&](const DeviceInfo& other) { return other.index == device.index; };
  const auto found = std::find_if(choice.devices.begin(), choice.devices.end(), same);
  const auto index = static_cast<std::size_t>(found - choice.devices.begin());
  if (found != choice.devices.end()) return index;
  if (choice.split.empty()) choice.split.assign(choice.devices.size(), 1);
  choice.split.push_back(0);
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
    choice.overrides.push_back({.pattern = text.pattern, .device = index_of(choice, found.front())});
  }
  return {};
}

/// -dev and -ts, then -ngl.
Result<DeviceChoice> choose_layers(const EngineOptions& options, const Devices& all,
                                   const std::function<Result<std::uint32_t>()>& layers) {
  DeviceChoice choice;
  GGUF_FUSE_ASSIGN(choice.devices, wanted_devices(options, all));
  if (!options.loading.split.empty() && options.loading.split.size() != choice.devices.size()) {
    return fail(wrong_devices("-ts", plural(choice.devices.size(), "share") + ", as there are devices",
                              std::to_string(options.loading.split.size())));
  }
  choice.split = options.loading.split;
  if (!options.gpu_layers) return choice;
  if (std::all_of(choice.devices.begin(), choice.devices.end(), is_cpu)) {
    choice.notes.emplace_back("-ngl has no effect: no GPU is used");
    return choice;
  }
  if (!options.loading.split.empty()) {
    choice.notes.emplace_back("-ngl has no effect: -ts says how layers are split");
    return choice;
  }
  GGUF_FUSE_ASSIGN(const std::uint32_t count, layers());
  GGUF_FUSE_CHECK(split_by_layers(choice, all, *options.gpu_layers, count));
  return choice;
}

}  // namespace

Result<DeviceChoice> choose_devices(const EngineOptions& options, const Devices& all,
                                    const std::function<Result<std::uint32_t>()>& layers) {
  GGUF_FUSE_ASSIGN(DeviceChoice choice, choose_layers(options, all, layers));
  GGUF_FUSE_CHECK(resolve_overrides(options, all, choice));
  return choice;
}

Result<DeviceChoice> choose_devices(const EngineOptions& options) {
  GGUF_FUSE_ASSIGN(const Devices all, list_devices());
  return choose_devices(options, all, [&options] { return layer_count(options.model); });
}

std::vector<std::string> idle_override_texts(const std::vector<OverrideText>& overrides,
                                             const std::vector<std::size_t>& idle) {
  const auto is_idle = [&idle](std::size_t i) { return std::find(idle.begin(), idle.end(), i) != idle.end(); };
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < overrides.size(); ++i) {
    if (overrides[i].option != OverrideOption::Pattern || !is_idle(i)) continue;
    lines.push_back(
        fmt::format("-ot \"{}\" has no effect: no tensor of attention, feed-forward, embeddings or output "
                    "has such a name",
                    overrides[i].pattern));
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
