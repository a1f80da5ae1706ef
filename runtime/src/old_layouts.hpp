// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "gguf_fuse/loader/model.hpp"
#include "gguf_fuse/runtime/namespace.hpp"

namespace gguf_fuse::runtime::detail {

/// Errors: NotAModel (adapters, projectors and what else comes as GGUF), OldLayout (tensors as older converters wrote
/// them): complete files, for which "a tensor is missing" would be the wrong word.
[[nodiscard]] Result<void> check_kind_and_layout(const ModelInfo& info, const std::string& path);

}  // namespace gguf_fuse::runtime::detail
