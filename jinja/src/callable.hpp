// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "gguf_fuse/jinja/value.hpp"
#include "gguf_fuse/loader/error.hpp"

namespace gguf_fuse::jinja::detail {

class Machine;
struct Node;
struct Scope;

/// What a call is given.
struct Arguments {
  std::vector<Value> positional{};
  std::vector<std::pair<std::string_view, Value>> named{};

  /// The argument at a position or of a name; nullptr when it is not given.
  [[nodiscard]] const Value* get(std::size_t position, std::string_view name) const {
    if (position < positional.size()) return &positional[position];
    for (const auto& [key, value] : named) {
      if (key == name) return &value;
    }
    return nullptr;
  }
};

/// A filter, test, function or method. `self` is what it is applied to.
struct Builtin {
  std::string_view name;
  std::size_t most;  ///< arguments
  Result<Value> (*run)(Machine& machine, const Value& self, const Arguments& arguments);
};
inline constexpr std::size_t kAnyNumber = 1000;

/// nullptr when there is none.
[[nodiscard]] const Builtin* find_filter(std::string_view name);
[[nodiscard]] const Builtin* find_test(std::string_view name);
[[nodiscard]] const Builtin* find_function(std::string_view name);
/// Of a value of this kind.
[[nodiscard]] const Builtin* find_method(const Value& self, std::string_view name);

// Parts of the table of filters.
[[nodiscard]] std::span<const Builtin> text_filters();
[[nodiscard]] std::span<const Builtin> list_filters();
[[nodiscard]] std::span<const Builtin> string_methods();

/// A builtin bound to a value, or a macro (or the body of a call block) with the scope around it.
struct Callable {
  const Builtin* builtin = nullptr;
  Value self{};
  const Node* macro = nullptr;
  Scope* scope = nullptr;
};

}  // namespace gguf_fuse::jinja::detail
