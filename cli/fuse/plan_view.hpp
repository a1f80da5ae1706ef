// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "decision_groups.hpp"

namespace gguf_fuse::cli {

/// How `plan` looks where it is printed.
struct PlanStyle {
  std::size_t width = 80;  ///< columns that bars and what stands beside them may fill
  std::size_t wrap = 0;    ///< columns at which sentences are broken; 0: nowhere
  bool blocks = false;     ///< bars of block elements instead of ASCII
  bool colours = false;

  /// That of standard output: block elements where a terminal understands UTF-8.
  [[nodiscard]] static PlanStyle of_output();
};

/// A bar for each rule, a cell a layer (or several, where there are more layers than room): which layers fuse, which
/// keep their tensors and why, and which have none of them. Lines end with a newline.
[[nodiscard]] std::string layer_bars(const std::vector<DecisionGroup>& groups, const PlanStyle& style);

/// `text` in lines of at most `width` columns, the first behind `label`, all others below it.
[[nodiscard]] std::string labelled(std::string_view label, std::string_view text, std::size_t label_width,
                                   std::size_t width);

/// `word` as a shell takes it: in quotes where it has to be.
[[nodiscard]] std::string shell_word(const std::string& word);

}  // namespace gguf_fuse::cli
