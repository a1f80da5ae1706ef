// SPDX-License-Identifier: MIT
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>

#include "gguf_fuse/fuse/views.hpp"
#include "hyperparameters.hpp"

namespace gguf_fuse::runtime::detail {

/// Which layers a part that an architecture leaves open may be in.
enum class LayerKind : std::uint8_t {
  Any,
  Experts,    ///< with experts
  Dense,      ///< without
  SameSight,  ///< with a window, or without one
};

/// What architectures leave open is in all layers of a kind or in none: a part that only some of them have was lost.
class LayerParts {
 public:
  LayerParts(std::span<const TensorView> tensors, const std::string& path, const Hyperparameters& hyperparameters);

  /// Whether a layer has a part by one of its names (without `blk.N.`). Errors: MissingTensor, by the first name, where
  /// another layer of its kind has it.
  [[nodiscard]] Result<bool> has(std::size_t layer, std::initializer_list<std::string_view> names,
                                 LayerKind kind = LayerKind::Any) const;

 private:
  [[nodiscard]] bool same_kind(LayerKind kind, std::size_t a, std::size_t b) const;
  [[nodiscard]] bool holds(std::size_t layer, std::initializer_list<std::string_view> names) const;

  const std::string& path_;
  const Hyperparameters& hp_;
  std::unordered_set<std::string_view> tensors_;
  std::unordered_set<std::string_view> parts_;  ///< that any layer has
};

}  // namespace gguf_fuse::runtime::detail
