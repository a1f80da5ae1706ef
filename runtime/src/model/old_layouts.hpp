// SPDX-License-Identifier: MIT
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "gguf_fuse/fuse/plan.hpp"
#include "gguf_fuse/loader/model.hpp"
#include "gguf_fuse/runtime/namespace.hpp"

namespace gguf_fuse::runtime::detail {

/// `names` are those of the tensors. Errors: NotAModel (adapters, projectors and what else comes as GGUF), OldLayout
/// (tensors as older converters wrote them): complete files, for which "a tensor is missing" would be the wrong word.
[[nodiscard]] Result<void> check_kind_and_layout(const ModelInfo& info, const std::set<std::string_view>& names,
                                                 const std::string& path);

/// Kernels need the experts of a layer in one tensor, and files of 2023 have one each. Errors: OldLayout, where a plan
/// that stacks them had to leave some as they are.
[[nodiscard]] Result<void> check_stacks(const Plan& plan, const std::string& path);

}  // namespace gguf_fuse::runtime::detail
