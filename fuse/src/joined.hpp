// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

#include "legality.hpp"

namespace gguf_fuse::fuse::detail {

/// What a rule calls its result in a layer. In a file of its own, so that a test can link another one: nothing
/// that reads a plan may know these names.
[[nodiscard]] std::string fused_name(const Rule& rule, std::uint32_t layer, std::string_view attribute);

/// What the tensors hold that came fused and that no record takes apart, by their index in the original table.
[[nodiscard]] std::unordered_map<std::uint32_t, Joined> stored_joined(const ModelView& view);

}  // namespace gguf_fuse::fuse::detail
