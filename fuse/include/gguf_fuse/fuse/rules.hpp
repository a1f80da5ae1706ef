// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "gguf_fuse/fuse/namespace.hpp"
#include "gguf_fuse/loader/export.hpp"

namespace gguf_fuse::fuse {

struct ArchitectureRow;
struct FuseOptions;
enum class Support : std::uint8_t;

enum class RuleId : std::uint8_t {
#define GGUF_FUSE_RULE(id, ...) id,
#include "gguf_fuse/fuse/rule_list.inc"
#undef GGUF_FUSE_RULE
};

/// Along what a rule joins its parts.
enum class Axis : std::uint8_t {
  Rows,      ///< the rows of each matrix, ne[1]; of biases ne[0]
  Matrices,  ///< whole matrices, ne[2]; of biases ne[1]
};

/// How many rows each part of a fused tensor has, and so where one without a record is cut again.
enum class PartRows : std::uint8_t {
  Equal,        ///< as many each
  EqualStated,  ///< as many each, and as many as Rule::length_key says: a part alone has the fused tensor's name
  OfHeads,      ///< as the head counts say: Q, K and V
};

/// What rules have in common that are chosen together.
struct RuleFamily {
  std::string_view name;          ///< the word of --only
  bool FuseOptions::*chosen;      ///< the option that selects its rules
  std::uint8_t bias_engines = 0;  ///< Engines with a place for the biases of a fused tensor
};
[[nodiscard]] GGUF_FUSE_EXPORT std::span<const RuleFamily> rule_families();

/// No rule names more tensors.
inline constexpr std::size_t kMostParts = 3;

/// A fusion rule is a row of rule_list.inc: which tensors of a layer become one, in which order, and all that sets it
/// apart from other rules. What a rule makes may be a part of a later one. Read backwards it is the rule that takes
/// them apart.
struct Rule {
  RuleId id{};
  std::string_view name{};                           ///< for people: "gate+up experts"
  std::string_view kind{};                           ///< the word under which reports count it; empty: not at all
  const RuleFamily* family = nullptr;                ///< null in no row of rules()
  std::array<std::string_view, kMostParts> parts{};  ///< without `blk.N.` and `.weight`; unused ones are empty
  std::string_view result{};
  Axis axis = Axis::Rows;
  std::string_view count_key{};  ///< `ARCH.` and this says how many parts there are: the only name, and .0, .1, ...
  std::uint32_t dimension_count = 2;  ///< of each part
  PartRows rows = PartRows::Equal;
  std::string_view length_key{};  ///< EqualStated: `ARCH.` and this is the key of a part's rows
  /// Where that is not stated: keys whose product it is.
  std::array<std::string_view, 2> length_factors{};
  bool one_scale = false;         ///< llama.cpp multiplies the result by one scale, where its parts have equal ones
  bool own_in_recurrent = false;  ///< a recurrent layer's tensor of the result's name is another thing
  Support ArchitectureRow::*mainline = nullptr;  ///< where llama.cpp reads it fused; null: nowhere
  Support ArchitectureRow::*ik = nullptr;        ///< where ik_llama.cpp does; null: nowhere

  [[nodiscard]] constexpr std::span<const std::string_view> part_names() const {
    std::size_t count = 0;
    while (count < parts.size() && !parts[count].empty()) ++count;
    return std::span(parts).first(count);
  }
  /// Whether its parts are numbered, as many as the model says.
  [[nodiscard]] constexpr bool numbered() const { return !count_key.empty(); }
  [[nodiscard]] constexpr bool equal_rows() const { return rows == PartRows::Equal || rows == PartRows::EqualStated; }
  /// Whether the last part by itself has the name of the result.
  [[nodiscard]] constexpr bool result_is_part() const { return !part_names().empty() && part_names().back() == result; }
  /// Whether a tensor of the result's name was fused, with a record or without: stacks are what everybody writes.
  [[nodiscard]] constexpr bool name_tells() const { return axis == Axis::Rows && !result_is_part(); }
};

[[nodiscard]] GGUF_FUSE_EXPORT std::span<const Rule> rules();
/// A number that is no RuleId gives a rule without parts, "no rule".
[[nodiscard]] GGUF_FUSE_EXPORT const Rule& rule(RuleId id);

}  // namespace gguf_fuse::fuse
