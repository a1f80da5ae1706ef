// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "gguf_fuse/loader/export.hpp"

namespace gguf_fuse {

enum class RuleId : std::uint8_t { GateUpExperts, GateUpSharedExpert, GateUpDense, Qkv };

/// A fusion rule is a row: which tensors of a layer become one, in which order. Parts are concatenated along the rows
/// (ne[1]) within each matrix (ne[2], ne[3]); biases along ne[0]. Read backwards it is the rule that takes them apart.
struct Rule {
  RuleId id;
  std::string_view name;                  ///< for people: "gate+up experts"
  std::string_view family;                ///< "gate-up" or "qkv", the words of --only
  std::array<std::string_view, 3> parts;  ///< without `blk.N.` and `.weight`; unused ones are empty
  std::string_view result;
  [[nodiscard]] constexpr std::size_t part_count() const { return parts[2].empty() ? 2 : 3; }
};

[[nodiscard]] GGUF_FUSE_EXPORT std::span<const Rule> rules();
/// A number that is no RuleId gives a rule without parts, "no rule".
[[nodiscard]] GGUF_FUSE_EXPORT const Rule& rule(RuleId id);

}  // namespace gguf_fuse
