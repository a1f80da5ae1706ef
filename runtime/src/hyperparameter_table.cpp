// SPDX-License-Identifier: MIT
#include "hyperparameter_table.hpp"

#include <algorithm>
#include <array>

namespace gguf_fuse::runtime::detail {
namespace {

#include "../architectures/keys/table.inc"

constexpr bool names(std::string_view list, std::string_view name) {
  for (std::size_t at = 0; at < list.size();) {
    const std::size_t end = std::min(list.find(' ', at), list.size());
    if (list.substr(at, end - at) == name) return true;
    at = end + 1;
  }
  return false;
}

}  // namespace

std::span<const KeyRow> key_rows() { return kRows; }

const KeyRow* find_key(std::string_view architecture, std::string_view key) {
  const auto* const found = std::find_if(kRows.begin(), kRows.end(), [&](const KeyRow& row) {
    return row.key == key && (row.architectures.empty() || names(row.architectures, architecture));
  });
  return found == kRows.end() ? nullptr : found;
}

}  // namespace gguf_fuse::runtime::detail
