// SPDX-License-Identifier: MIT
#pragma once

#include "machine.hpp"

namespace gguf_fuse::jinja::detail {

/// Python's repr of a float: the shortest digits that read back, with an exponent from 1e16 on and below 1e-4.
[[nodiscard]] std::string float_text(double value);
/// Python's str. Strings stay as they are, undefined is empty.
[[nodiscard]] Result<Text> to_text(Machine& machine, const Value& value);
/// Python's repr, appended.
[[nodiscard]] Result<void> represent(Machine& machine, const Value& value, Text& out);
/// Python's `format % arguments`.
[[nodiscard]] Result<Value> percent_format(Machine& machine, const Text& format, const std::vector<Value>& arguments);
/// Python's `format.format(arguments)`: fields {}, {0} and {name}, without formats of their own.
[[nodiscard]] Result<Value> brace_format(Machine& machine, const Text& format, const Arguments& arguments);

struct JsonStyle {
  bool ascii = false;
  bool sorted = false;
  const Text* indent = nullptr;  ///< of one level; null: all on one line
  Text between{std::string(", "), Origin::Template};
  Text after_key{std::string(": "), Origin::Template};
};
/// Python's json.dumps.
[[nodiscard]] Result<Text> to_json(Machine& machine, const Value& value, const JsonStyle& style);

}  // namespace gguf_fuse::jinja::detail
