// SPDX-License-Identifier: MIT
#include "model/key_table.hpp"

#include <algorithm>
#include <array>

#include "model/architecture.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

#include "../../architectures/keys/table.inc"

/// Words in the place of names that mean every architecture whose row is of a kind.
struct Kind {
  std::string_view word;
  bool (*of)(const Architecture& architecture);
};
constexpr Kind kKinds[] = {
    {kByHeads, [](const Architecture& architecture) { return architecture.attention() != nullptr; }},
    {kWindows,
     [](const Architecture& architecture) {
       return architecture.attention() != nullptr && architecture.attention()->window_pattern != 0;
     }},
    {kRecurrent,
     [](const Architecture& architecture) { return std::holds_alternative<DeltaTraits>(architecture.mixer); }},
    {kRmsNorms, [](const Architecture& architecture) { return architecture.norm == Norm::Rms; }},
    {kLayerNorms, [](const Architecture& architecture) { return architecture.norm == Norm::Layer; }},
    {kMixtures, [](const Architecture& architecture) { return architecture.mixture.has_value(); }},
};

bool names(std::string_view list, std::string_view name) {
  for (const Kind& kind : kKinds) {
    if (list != kind.word) continue;
    const Architecture* const architecture = find_architecture(name);
    return architecture != nullptr && kind.of(*architecture);
  }
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
