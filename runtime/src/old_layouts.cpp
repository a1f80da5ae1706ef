// SPDX-License-Identifier: MIT
#include "old_layouts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "gguf_fuse/loader/file_kind.hpp"
#include "gguf_fuse/runtime/architecture.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

std::set<std::string_view> names_of(const ModelInfo& info) {
  std::set<std::string_view> names;
  for (const Container& shard : info.shards) {
    for (const TensorInfo& tensor : shard.tensors) names.insert(tensor.name);
  }
  return names;
}

/// Whether this is blk.N.ffn_gate.E.weight, or of up or down.
bool is_single_expert(std::string_view name) {
  constexpr std::string_view kWeight = ".weight";
  if (!name.starts_with("blk.") || !name.ends_with(kWeight)) return false;
  name.remove_suffix(kWeight.size());
  const std::size_t dot = name.rfind('.');
  const std::string_view expert = name.substr(dot + 1);
  const bool number =
      !expert.empty() && std::all_of(expert.begin(), expert.end(), [](char c) { return c >= '0' && c <= '9'; });
  name = name.substr(0, dot);
  return number && (name.ends_with(".ffn_gate") || name.ends_with(".ffn_up") || name.ends_with(".ffn_down"));
}

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
  const Architecture* const row = name ? find_runnable(name->as_string().value_or("")) : nullptr;
  return row != nullptr && row->latent_attention;
}

}  // namespace

Result<void> check_kind_and_layout(const ModelInfo& info, const std::string& path) {
  if (const auto kind = other_than_model(info)) return fail(not_a_model(*kind, path));
  const std::set<std::string_view> names = names_of(info);
  if (const auto expert = std::find_if(names.begin(), names.end(), is_single_expert); expert != names.end()) {
    return fail(
        old_layout(path, *expert, "the experts of a layer in one tensor (ffn_gate_exps)",
                   "a tensor for each expert, as converters wrote them until April 2024",
                   "the file is complete: download a newer GGUF file of the model, or make one from the original "
                   "with llama.cpp's convert_hf_to_gguf.py"));
  }
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

}  // namespace gguf_fuse::runtime::detail
