// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "model_state.hpp"

namespace gguf_fuse::runtime::detail {

/// What `asked` selects, and the rules whose fused tensors the file already has: they are not taken apart, whatever was
/// asked for.
[[nodiscard]] FuseOptions with_stored(const ModelInfo& info, const FuseOptions& asked);

/// Names of all tensors, in the files, in the plan and in an unfused file: a pattern may know any.
[[nodiscard]] std::vector<std::string> all_names(const ModelInfo& info, const PlannedFile& file);

/// ModelDescription::not_fused, for what was asked for.
[[nodiscard]] std::vector<std::string> not_fused(const Plan& plan, const FuseOptions& asked);

[[nodiscard]] ModelDescription describe(const PlannedFile& file, const ModelInfo& info, const Hyperparameters& hp,
                                        const WeightMap& map, const std::string& path);

}  // namespace gguf_fuse::runtime::detail
