// SPDX-License-Identifier: MIT
#include "layer_parts.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace gguf_fuse::runtime::detail {

LayerParts::LayerParts(std::span<const TensorView> tensors, const std::string& path,
                       const Hyperparameters& hyperparameters)
    : path_(path), hp_(hyperparameters) {
  constexpr std::string_view kLayer = "blk.";
  for (const TensorView& tensor : tensors) {
    const std::string_view name = tensor.name;
    tensors_.insert(name);
    if (!name.starts_with(kLayer)) continue;
    const std::size_t dot = name.find('.', kLayer.size());
    if (dot != std::string_view::npos) parts_.insert(name.substr(dot + 1));
  }
}

bool LayerParts::same_kind(LayerKind kind, std::size_t a, std::size_t b) const {
  const LayerParameters& one = hp_.layers[a];
  const LayerParameters& other = hp_.layers[b];
  switch (kind) {
    case LayerKind::Any:
      return true;
    case LayerKind::Experts:
      return one.experts && other.experts;
    case LayerKind::Dense:
      return !one.experts && !other.experts;
    case LayerKind::SameSight:
      return one.local == other.local;
  }
  return true;
}

bool LayerParts::holds(std::size_t layer, std::initializer_list<std::string_view> names) const {
  return std::any_of(names.begin(), names.end(),
                     [&](std::string_view name) { return tensors_.contains(fmt::format("blk.{}.{}", layer, name)); });
}

Result<bool> LayerParts::has(std::size_t layer, std::initializer_list<std::string_view> names, LayerKind kind) const {
  const auto anywhere = [this](std::string_view name) { return parts_.contains(name); };
  if (std::none_of(names.begin(), names.end(), anywhere)) return false;
  if (holds(layer, names)) return true;
  for (std::size_t other = 0; other < hp_.layers.size(); ++other) {
    if (other == layer || !same_kind(kind, layer, other) || !holds(other, names)) continue;
    return fail({.code = ErrorCode::MissingTensor,
                 .path = path_,
                 .subject = fmt::format("blk.{}.{}", layer, *names.begin()),
                 .expected = fmt::format("in every such layer, as in layer {}", other)});
  }
  return false;
}

}  // namespace gguf_fuse::runtime::detail
