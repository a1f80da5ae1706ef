// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "engine_options.hpp"
#include "json_output.hpp"
#include "placement.hpp"

namespace gguf_fuse::cli {

/// Where everything would be, for --explain-placement: by the header alone. Errors: those of choose_devices and
/// RunnableModel::plan.
struct ExplainedPlacement {
  DeviceChoice choice{};
  ModelPlacement placement{};
};
[[nodiscard]] Result<ExplainedPlacement> explain_placement(const EngineOptions& options);

/// Tables of devices, of groups of tensors with what put them there, and of splits with what goes into them.
[[nodiscard]] std::string placement_text(const ExplainedPlacement& explained, std::size_t width);
/// {"devices": [...], "groups": [...], "splits": [...]}.
[[nodiscard]] Json placement_json(const ExplainedPlacement& explained);

}  // namespace gguf_fuse::cli
