// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine_options.hpp"
#include "json_output.hpp"

namespace gguf_fuse::cli {

/// Devices that are to be used, and how layers are placed on them.
struct DeviceChoice {
  std::vector<DeviceInfo> devices{};
  PlacementOptions placement{};
  std::vector<std::string> notes{};  ///< what was asked for and has no effect
};

/// What -dev, -ts, -ngl and -ot mean among these devices. Errors: UnknownDevice, NoDevice, InvalidArgument.
[[nodiscard]] Result<DeviceChoice> choose_devices(const EngineOptions& options, const std::vector<DeviceInfo>& all);

/// choose_devices among all of this machine. Errors: those of list_devices besides.
[[nodiscard]] Result<DeviceChoice> choose_devices(const EngineOptions& options);

/// A line for each of -ot, -cmoe and -ncmoe that moved nothing, and for each pattern of -ot, with the nearest name.
[[nodiscard]] std::vector<std::string> idle_override_texts(const std::vector<OverrideText>& overrides,
                                                           const ModelPlacement& placement);

/// --activations, or what is fastest on every one of the devices.
[[nodiscard]] Activations activations_for(const EngineOptions& options,
                                          const std::vector<std::shared_ptr<Device>>& devices);

/// What the library is told of options and of where layers go; devices are missing.
[[nodiscard]] ModelOptions model_options(const EngineOptions& options, const DeviceChoice& choice);

/// Opened, once each; `builds` counts the programs that are compiled and may be null. Errors: those of Device::open.
[[nodiscard]] Result<std::vector<std::shared_ptr<Device>>> open_devices(const DeviceChoice& choice,
                                                                        const EngineOptions& options, const Log& log,
                                                                        BuildCount* builds);

/// --list-devices. Errors: those of list_devices.
[[nodiscard]] Result<std::string> device_table(std::size_t width);
/// The same for --json: {"devices": [{"index", "type", ...}, ...]}.
[[nodiscard]] Result<Json> device_json();

}  // namespace gguf_fuse::cli
