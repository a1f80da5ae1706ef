// SPDX-License-Identifier: MIT
#include "gguf_fuse/fuse/scales.hpp"

#include <cstring>
#include <unordered_set>

#include "legality.hpp"
#include "plan_check.hpp"

namespace gguf_fuse::fuse {
namespace {

/// `X.scale` without its last word and dot; empty for tensors that are no scales.
std::string_view scaled_base(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return {};
  const auto* const found = std::find(std::begin(kScales), std::end(kScales), name.substr(dot + 1));
  return found == std::end(kScales) ? std::string_view() : name.substr(0, dot);
}

}  // namespace

Result<ScaleValues> read_scales(Model& model) {
  GGUF_FUSE_CHECK(check_model(model));
  ScaleValues values;
  if (model.sequential()) return values;
  std::unordered_set<std::string> weights;
  for (const Container& shard : model.info.shards) {
    for (const TensorInfo& tensor : shard.tensors) {
      if (tensor.type->name == kScaledType) weights.emplace(tensor.name);
    }
  }
  for (std::size_t i = 0; i < model.info.shards.size(); ++i) {
    const Container& shard = model.info.shards[i];
    for (const TensorInfo& tensor : shard.tensors) {
      const std::string_view base = scaled_base(tensor.name);
      std::uint32_t bits = 0;
      if (base.empty() || tensor.type->name != "F32" || tensor.bytes != sizeof bits) continue;
      if (!weights.contains(fmt::format("{}.weight", base))) continue;
      const auto out = std::as_writable_bytes(std::span(&bits, 1));
      if (auto read = model.sources[i]->read_at(shard.data_offset + tensor.offset, out); !read)
        return fail(shard.with_tensor(std::move(read).error(), shard.data_offset + tensor.offset,
                                      shard.data_offset + tensor.offset + tensor.bytes));
      values.emplace(tensor.name, bits);
    }
  }
  return values;
}

}  // namespace gguf_fuse::fuse
