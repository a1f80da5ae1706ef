// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine_options.hpp"
#include "json_output.hpp"

namespace gguf_fuse::cli {

/// Devices that are to be used, and how layers are split over them.
struct DeviceChoice {
  std::vector<DeviceInfo> devices{};
  std::vector<double> split{};  ///< empty: equal shares
  std::vector<PlacementOverride> overrides{};
  std::vector<std::string> notes{};  ///< what was asked for and has no effect
};

/// What -dev, -ts and -ngl mean among these devices; `layers` tells the model's number of layers and is asked only when
/// -ngl needs it. Errors: UnknownDevice, NoDevice, InvalidArgument, those of `layers`.
[[nodiscard]] Result<DeviceChoice> choose_devices(const EngineOptions& options, const std::vector<DeviceInfo>& all,
                                                  const std::function<Result<std::uint32_t>()>& layers);

/// choose_devices among all of this machine. Errors: those of list_devices and open_model besides.
[[nodiscard]] Result<DeviceChoice> choose_devices(const EngineOptions& options);

/// A line for each of -ot, -cmoe and -ncmoe that moved nothing, and for each pattern of -ot; `idle` are indices of the
/// overrides.
[[nodiscard]] std::vector<std::string> idle_override_texts(const std::vector<OverrideText>& overrides,
                                                           const std::vector<std::size_t>& idle);

/// --activations, or what is fastest on every one of the devices.
[[nodiscard]] Activations activations_for(const EngineOptions& options,
                                          const std::vector<std::shared_ptr<Device>>& devices);

/// Opened, once each; `builds` counts the programs that are compiled and may be null. Errors: those of Device::open.
[[nodiscard]] Result<std::vector<std::shared_ptr<Device>>> open_devices(const DeviceChoice& choice,
                                                                        const EngineOptions& options, const Log& log,
                                                                        BuildCount* builds);

/// --list-devices. Errors: those of list_devices.
[[nodiscard]] Result<std::string> device_table(std::size_t width);
/// The same for --json: {"devices": [{"index", "type", ...}, ...]}.
[[nodiscard]] Result<Json> device_json();

}  // namespace gguf_fuse::cli
