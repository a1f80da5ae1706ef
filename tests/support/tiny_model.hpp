// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "support/gguf_builder.hpp"

namespace gguf_fuse::test_support {

/// A row of tiny_model_table.inc: one model of random weights, small, with everything in it that its architecture can
/// have and that other implementations compute with. Words are separated by spaces.
struct TinyModel {
  std::string_view name;    ///< the architecture; `+` and a word behind it where there are several models of one
  std::string_view keys;    ///< KEY=VALUE below the architecture's name, or .KEY=VALUE; beside those that all have
  std::string_view layers;  ///< tensors of each layer: parts joined by `;`, `0,2-:` in front says of which layers
  std::string_view ends;    ///< tensors outside the layers

  [[nodiscard]] std::string_view architecture() const { return name.substr(0, name.find('+')); }
};
// A value with a point is a float, digits are an unsigned number, true and false are a boolean, [1,2] is an array, all
// else is a string. A tensor's word is its name without `blk.N.` and `.weight`; its sizes follow in brackets where the
// name alone does not say them; `!` ends a name that is written as it is; @ stands for several (kGroups in
// tiny_model.cpp).

[[nodiscard]] std::span<const TinyModel> tiny_models();
/// Throws std::invalid_argument where no row has the name.
[[nodiscard]] const TinyModel& tiny_model(std::string_view name);

/// The file: floats that are the same on every machine. Norms are near 1, biases are not 0, products keep the size of
/// what they read. Throws std::invalid_argument where a row does not make sense.
[[nodiscard]] Bytes build_tiny_model(const TinyModel& model);

/// Tokens to run them on: more than a window and than a tile of a batch.
[[nodiscard]] std::vector<std::int32_t> tiny_text();

}  // namespace gguf_fuse::test_support
