// SPDX-License-Identifier: MIT
#include "model/old_layouts.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "gguf_fuse/loader/file_kind.hpp"
#include "model/architecture.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

Error old_layout(const std::string& path, std::string_view tensor, std::string expected, std::string actual,
                 std::string hint) {
  return {.code = ErrorCode::OldLayout,
          .path = path,
          .subject = std::string(tensor),
          .expected = std::move(expected),
          .actual = std::move(actual),
          .hint = std::move(hint)};
}

bool is_latent(const Metadata& metadata) {
  const auto name = metadata.find("general.architecture");
  const Architecture* const row = name ? find_architecture(name->as_string().value_or("")) : nullptr;
  return row != nullptr && row->attention() == nullptr;
}

}  // namespace

Result<void> check_kind_and_layout(const ModelInfo& info, const std::set<std::string_view>& names,
                                   const std::string& path) {
  if (const auto kind = other_than_model(info)) return fail(not_a_model(*kind, path));
  const bool whole = names.contains("blk.0.attn_kv_b.weight") && !names.contains("blk.0.attn_k_b.weight");
  if (whole && is_latent(info.metadata())) {
    return fail(
        old_layout(path, "blk.0.attn_kv_b.weight", "attn_k_b and attn_v_b",
                   "both in one tensor, as converters wrote them until April 2025",
                   "the file is complete: download a newer GGUF file of the model, or make one from the original "
                   "with llama.cpp's convert_hf_to_gguf.py"));
  }
  return {};
}

Result<void> check_stacks(const Plan& plan, const std::string& path) {
  const auto apart = std::find_if(plan.decisions.begin(), plan.decisions.end(), [](const Decision& one) {
    return rule(one.rule).axis == Axis::Matrices && !one.fused();
  });
  if (apart == plan.decisions.end()) return {};
  return fail(old_layout(path, fmt::format("blk.{}.{}.weight", apart->layer, apart->parts.front()),
                         fmt::format("tensors of experts that can be stacked ({})", apart->result),
                         apart->reason.text(),
                         "get the file from another source, or make one from the original with llama.cpp's "
                         "convert_hf_to_gguf.py"));
}

}  // namespace gguf_fuse::runtime::detail
