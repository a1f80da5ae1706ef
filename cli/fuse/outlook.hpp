// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gguf_fuse/fuse/plan.hpp"
#include "json_output.hpp"

namespace gguf_fuse::cli {

/// Whether an engine will load what a plan writes.
struct EngineVerdict {
  Target engine;
  std::optional<Reason> obstacle{};  ///< nothing: it will
};

/// Another target that would fuse tensors which this plan leaves separate.
struct Alternative {
  Target target;
  std::string more;  ///< `48 x ffn_gate_up_exps (gate+up experts)`
  std::string less;  ///< what it would leave separate in turn
};

/// What a plan means for the reader of its output, found by planning for the other targets too.
struct Outlook {
  std::vector<EngineVerdict> engines;
  std::vector<Alternative> alternatives;
};
[[nodiscard]] Outlook look_ahead(const Plan& plan, const ModelInfo& model, const FuseOptions& options);
/// As `engines` and `alternatives`.
void add_outlook(Json& json, const Outlook& outlook);

/// `30 x attn_qkv (Q+K+V), 48 x ffn_gate_up_exps (gate+up experts)`, or nothing.
[[nodiscard]] std::string fused_text(const Plan& plan);
/// `llama.cpp, ik_llama.cpp`, and for each engine that does not load the file the reason.
[[nodiscard]] std::string engines_text(const Outlook& outlook);
/// `--target ik_llama.cpp would fuse ..., but not ...`
[[nodiscard]] std::string alternative_text(const Alternative& alternative, bool also);
/// The reason that holds for most of what was not fused, with its number of layers; nothing when all was fused.
[[nodiscard]] std::string main_reason(const Plan& plan);

/// Tensors that the plan's input has more (or, for unfuse, fewer) than its output.
[[nodiscard]] std::uint64_t merged_tensors(const Plan& plan);
[[nodiscard]] std::uint64_t planned_tensors(const Plan& plan);

/// Matrix products per token: every weight matrix is one, experts count once a layer.
[[nodiscard]] std::uint64_t matrix_products(const ModelInfo& model);
[[nodiscard]] std::uint64_t matrix_products(const Plan& plan);

}  // namespace gguf_fuse::cli
