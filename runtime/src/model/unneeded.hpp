// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gguf_fuse::runtime::detail {

/// Tensors that are known, and that text is computed without.
struct UnneededRow {
  enum class Where : std::uint8_t { Begin, Anywhere, End };
  Where where;
  std::string_view text;  ///< of a tensor's name
  std::string_view what;
};

[[nodiscard]] std::span<const UnneededRow> unneeded_rows();
/// The row that a name belongs to, or null.
[[nodiscard]] const UnneededRow* find_unneeded(std::string_view tensor);

/// What was left out, a line a row: how many tensors, an example, and why.
[[nodiscard]] std::vector<std::string> left_out_lines(const std::vector<std::string>& tensors);

}  // namespace gguf_fuse::runtime::detail
