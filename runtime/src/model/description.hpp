// SPDX-License-Identifier: MIT
#pragma once

#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gguf_fuse/fuse/views.hpp"
#include "model/model_state.hpp"
#include "model/tensor_places.hpp"

namespace gguf_fuse::runtime::detail {

/// Names of the tensors in the files; they refer to `info`.
[[nodiscard]] std::set<std::string_view> stored_names(const ModelInfo& info);

/// What `asked` selects, and the rules whose fused tensors the file already has: they are not taken apart, whatever was
/// asked for.
[[nodiscard]] FuseOptions with_stored(const std::set<std::string_view>& names, const FuseOptions& asked);

/// The groups of a network that was asked for. Their tensors also have the names of what was merged into them: a
/// pattern may know any.
[[nodiscard]] std::vector<TensorGroup> groups_of(TensorPlaces& tensors, const Network& network, const Plan& plan);

/// ModelDescription::not_fused, for what was asked for.
[[nodiscard]] std::vector<std::string> not_fused(const Plan& plan, const FuseOptions& asked);

[[nodiscard]] ModelDescription describe(const PlannedFile& file, std::span<const TensorView> views,
                                        const ModelInfo& info, const Network& network, const WeightMap& map,
                                        const std::string& path);

}  // namespace gguf_fuse::runtime::detail
