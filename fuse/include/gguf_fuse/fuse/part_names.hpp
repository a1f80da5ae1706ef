// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gguf_fuse/fuse/namespace.hpp"
#include "gguf_fuse/loader/export.hpp"

namespace gguf_fuse::fuse {

/// `ffn_gate.7` taken apart.
struct NumberedName {
  std::string_view base;
  std::uint32_t number = 0;
};
/// Nothing where the last word of `name` is no number as it would be printed.
[[nodiscard]] GGUF_FUSE_EXPORT std::optional<NumberedName> split_number(std::string_view name);

/// Numbers from the first to the second, inclusive.
using NumberRange = std::pair<std::uint64_t, std::uint64_t>;
/// `ffn_gate.{0..6,8}`; of one number alone `ffn_gate.7`. Of very many ranges the first ones.
[[nodiscard]] GGUF_FUSE_EXPORT std::string numbered_text(std::string_view base, std::span<const NumberRange> ranges);

/// Names in short: those that differ in their number alone are one, which stands where the first of them stood.
[[nodiscard]] GGUF_FUSE_EXPORT std::vector<std::string> group_names(std::span<const std::string> names);
/// The same as a list with commas.
[[nodiscard]] GGUF_FUSE_EXPORT std::string join_names(std::span<const std::string> names);

}  // namespace gguf_fuse::fuse
