// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "model_state.hpp"

namespace gguf_fuse {

/// Which fused tensors a file already has: they are not taken apart, whatever was asked for.
struct FusedNames {
  bool gate_up = false;
  bool qkv = false;
};
[[nodiscard]] FusedNames fused_names(const ModelInfo& info);

/// Names of all tensors, in the files and in the plan: a pattern may know either.
[[nodiscard]] std::vector<std::string> all_names(const ModelInfo& info, const PlannedFile& file);

/// ModelDescription::not_fused, for what the options ask for.
[[nodiscard]] std::vector<std::string> not_fused(const Plan& plan, const ModelOptions& options);

[[nodiscard]] ModelDescription describe(const PlannedFile& file, const ModelInfo& info, const Hyperparameters& hp,
                                        const WeightMap& map, const std::string& path);

}  // namespace gguf_fuse
