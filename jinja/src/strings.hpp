// SPDX-License-Identifier: MIT
#pragma once

#include "characters.hpp"
#include "machine.hpp"

namespace gguf_fuse::jinja::detail {

// What filters and methods of strings share. All are Python's.

[[nodiscard]] Text upper(const Text& text);
[[nodiscard]] Text lower(const Text& text);
[[nodiscard]] Text capitalized(const Text& text);
/// Every `old`, the first `most` of them when that is not negative.
[[nodiscard]] Result<Text> replaced(Machine& machine, const Text& text, const Text& old, const Text& by,
                                    std::int64_t most);
/// Without the characters of the argument at its ends (white space without an argument).
[[nodiscard]] Result<Value> stripped(Machine& machine, const Text& text, const Value* drop, bool left, bool right);
/// Without their ends.
[[nodiscard]] std::vector<Range> line_ranges(std::string_view text);
[[nodiscard]] Result<Text> joined(Machine& machine, const std::vector<Value>& items, const Text& between);

/// The argument as a text, an integer, a truth. Errors: of another kind.
[[nodiscard]] Result<const Text*> text_argument(Machine& machine, const Value* value, std::string_view what);
[[nodiscard]] Result<std::int64_t> integer_argument(Machine& machine, const Value* value, std::int64_t standard);

}  // namespace gguf_fuse::jinja::detail
