// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "gguf_fuse/fuse/views.hpp"
#include "model/tensor_places.hpp"

namespace gguf_fuse::runtime::detail {

class Block;

/// The layers that have a part which an architecture leaves open, if one of them has it.
enum class Peers : std::uint8_t {
  All,
  Kind,     ///< those with a block of the same kind
  Variant,  ///< of the same Block::variant(), too
};

/// Which layers have which parts. What architectures leave open is in all layers of a kind or in none: a part that only
/// some of them have was lost.
class LayerParts {
 public:
  LayerParts(std::span<const TensorView> tensors, const std::string& path);

  /// Whether layer `layer` of those that `blocks` are of has a part by one of its names (without `blk.N.`). Errors:
  /// MissingTensor, by the first name, where a peer has it.
  [[nodiscard]] Result<bool> has(std::span<const Block* const> blocks, std::size_t layer,
                                 std::span<const std::string> names, Peers peers) const;

 private:
  [[nodiscard]] bool holds(std::size_t layer, std::span<const std::string> names) const;

  const std::string& path_;
  std::unordered_set<std::string_view> tensors_;
  std::unordered_set<std::string_view> parts_;  ///< that any layer has
};

/// The tensors of a layer, for one of its blocks, whose device is the present one. Names are without `blk.N.`; those of
/// matrices are without ".weight", too. Errors of all: those of TensorPlaces.
class LayerTensors {
 public:
  LayerTensors(TensorPlaces& tensors, const LayerParts& parts, std::span<const Block* const> blocks, std::size_t layer);

  [[nodiscard]] Result<void> matrix(std::string_view part, std::uint64_t rows, std::uint64_t columns, Matrix& out);
  /// As TensorPlaces::matrices.
  [[nodiscard]] Result<void> matrices(std::vector<TensorPlaces::Part> wanted, std::uint64_t columns,
                                      std::vector<Matrix>& out);
  [[nodiscard]] Result<void> experts(std::vector<TensorPlaces::ExpertPart> wanted,
                                     const TensorPlaces::ExpertSizes& sizes);
  [[nodiscard]] Result<void> floats(std::string_view part, std::uint64_t count, Buffer& out, std::uint64_t rows = 1);
  [[nodiscard]] Result<void> floats_at(std::string_view part, std::uint64_t count, std::uint64_t offset,
                                       std::uint64_t size, Buffer& out);

  /// A part that the architecture leaves open, by one of its names.
  [[nodiscard]] Result<bool> has(const std::vector<std::string>& names, Peers peers = Peers::Kind) const {
    return parts_.has(blocks_, layer_, names, peers);
  }
  [[nodiscard]] Result<void> open_floats(const std::string& part, std::uint64_t count, Buffer& out,
                                         Peers peers = Peers::Kind);

 private:
  [[nodiscard]] std::string name(std::string_view part) const { return prefix_ + std::string(part); }

  TensorPlaces& tensors_;
  const LayerParts& parts_;
  std::span<const Block* const> blocks_;  ///< those of all layers in this half
  std::size_t layer_;
  std::string prefix_;
};

}  // namespace gguf_fuse::runtime::detail
