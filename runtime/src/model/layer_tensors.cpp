// SPDX-License-Identifier: MIT
#include "model/layer_tensors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <typeinfo>

#include "blocks/block.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

bool are_peers(const Block& a, const Block& b, Peers peers) {
  if (peers == Peers::All) return true;
  return typeid(a) == typeid(b) && (peers == Peers::Kind || a.variant() == b.variant());
}

}  // namespace

LayerParts::LayerParts(std::span<const TensorView> tensors, const std::string& path) : path_(path) {
  constexpr std::string_view kLayer = "blk.";
  for (const TensorView& tensor : tensors) {
    const std::string_view name = tensor.name;
    tensors_.insert(name);
    if (!name.starts_with(kLayer)) continue;
    const std::size_t dot = name.find('.', kLayer.size());
    if (dot != std::string_view::npos) parts_.insert(name.substr(dot + 1));
  }
}

bool LayerParts::holds(std::size_t layer, std::span<const std::string> names) const {
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& name) { return tensors_.contains(fmt::format("blk.{}.{}", layer, name)); });
}

Result<bool> LayerParts::has(std::span<const Block* const> blocks, std::size_t layer,
                             std::span<const std::string> names, Peers peers) const {
  const auto anywhere = [this](std::string_view name) { return parts_.contains(name); };
  if (std::none_of(names.begin(), names.end(), anywhere)) return false;
  if (holds(layer, names)) return true;
  for (std::size_t other = 0; other < blocks.size(); ++other) {
    if (other == layer || !are_peers(*blocks[layer], *blocks[other], peers) || !holds(other, names)) continue;
    return fail({.code = ErrorCode::MissingTensor,
                 .path = path_,
                 .subject = fmt::format("blk.{}.{}", layer, names.front()),
                 .expected = fmt::format("in every such layer, as in layer {}", other)});
  }
  return false;
}

LayerTensors::LayerTensors(TensorPlaces& tensors, const LayerParts& parts, std::span<const Block* const> blocks,
                           std::size_t layer)
    : tensors_(tensors), parts_(parts), blocks_(blocks), layer_(layer), prefix_(fmt::format("blk.{}.", layer)) {}

Result<void> LayerTensors::matrix(std::string_view part, std::uint64_t rows, std::uint64_t columns, Matrix& out) {
  return tensors_.matrix(name(part) + ".weight", rows, columns, out);
}

Result<void> LayerTensors::matrices(std::vector<TensorPlaces::Part> wanted, std::uint64_t columns,
                                    std::vector<Matrix>& out) {
  for (TensorPlaces::Part& part : wanted) part.name = name(part.name);
  return tensors_.matrices(wanted, columns, out);
}

Result<void> LayerTensors::experts(std::vector<TensorPlaces::ExpertPart> wanted,
                                   const TensorPlaces::ExpertSizes& sizes) {
  for (TensorPlaces::ExpertPart& part : wanted) part.name = name(part.name);
  return tensors_.experts(wanted, sizes);
}

Result<void> LayerTensors::floats(std::string_view part, std::uint64_t count, Buffer& out, std::uint64_t rows) {
  return tensors_.floats(name(part), count, out, rows);
}

Result<void> LayerTensors::floats_at(std::string_view part, std::uint64_t count, std::uint64_t offset,
                                     std::uint64_t size, Buffer& out) {
  return tensors_.floats_at(name(part), count, offset, size, out);
}

Result<void> LayerTensors::open_floats(const std::string& part, std::uint64_t count, Buffer& out, Peers peers) {
  GGUF_FUSE_ASSIGN(const bool there, has({part}, peers));
  return there ? floats(part, count, out) : Result<void>{};
}

}  // namespace gguf_fuse::runtime::detail
