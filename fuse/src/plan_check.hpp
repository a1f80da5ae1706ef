// SPDX-License-Identifier: MIT
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "gguf_fuse/fuse/pipeline.hpp"

namespace gguf_fuse::fuse::detail {

/// A plan is data that anybody may hand in, and the pipeline does its arithmetic without further questions. So, once
/// before it starts: every run lies in its tensor and in its file of `model`, every tensor in its output, and the model
/// has a source for each of its files. Errors: InvalidArgument, which a plan of this very model never gives.
[[nodiscard]] Result<void> check_plan(const Plan& plan, const Model& model);

/// A model with at least one file. Errors: InvalidArgument (one that was moved from, say).
[[nodiscard]] Result<void> check_model(const ModelInfo& model);
/// Also that each file has its source.
[[nodiscard]] Result<void> check_model(const Model& model);

/// One sink or source for each file of the plan, none of them null. Errors: InvalidArgument.
template <typename Side>
[[nodiscard]] Result<void> check_sides(const Plan& plan, const std::vector<std::unique_ptr<Side>>& sides) {
  const bool all = std::all_of(sides.begin(), sides.end(), [](const auto& side) { return side != nullptr; });
  if (all && sides.size() >= plan.files.size()) return {};
  return fail({.code = ErrorCode::InvalidArgument,
               .path = "plan",
               .expected = fmt::format("a sink or source for each of {} files", plan.files.size()),
               .actual = all ? fmt::format("{}", sides.size()) : "one that is null",
               .hint = "give one for every file of the plan"});
}

}  // namespace gguf_fuse::fuse::detail
