// SPDX-License-Identifier: MIT
#pragma once

#include <optional>

#include "machine.hpp"

namespace gguf_fuse::jinja::detail {

[[nodiscard]] bool is_true(const Value& value);
/// Of an integer or a boolean.
[[nodiscard]] std::optional<std::int64_t> integer_of(const Value& value);
/// Of a number or a boolean.
[[nodiscard]] std::optional<double> number_of(const Value& value);
/// "a list", "an integer" ...
[[nodiscard]] std::string_view kind_name(const Value& value);
[[nodiscard]] tl::unexpected<Error> undefined_failure(const Machine& machine, const Undefined& value);

/// `left op right` for + - * / // % **.
[[nodiscard]] Result<Value> arithmetic(Machine& machine, std::string_view op, const Value& left, const Value& right);
[[nodiscard]] Result<bool> equal(Machine& machine, const Value& left, const Value& right);
/// Below zero, zero or above it. Errors: values without an order.
[[nodiscard]] Result<int> order(Machine& machine, const Value& left, const Value& right);
/// For == != < <= > >=, in and "not in".
[[nodiscard]] Result<bool> compare(Machine& machine, std::string_view op, const Value& left, const Value& right);

/// base.name: a method before an entry, as Jinja2 has it.
[[nodiscard]] Result<Value> attribute_of(Machine& machine, const Value& base, std::string_view name);
/// base[key]: an entry before a method.
[[nodiscard]] Result<Value> item_of(Machine& machine, const Value& base, const Value& key);
/// nullptr when there is none.
[[nodiscard]] Result<const Value*> find_entry(Machine& machine, const Dict& dict, const Value& key);
/// What a for statement goes over: elements, keys or characters.
[[nodiscard]] Result<std::vector<Value>> elements_of(Machine& machine, const Value& value);
/// base[begin:end:step]; each may be null.
[[nodiscard]] Result<Value> slice_of(Machine& machine, const Value& base, const Value* begin, const Value* end,
                                     const Value* step);

}  // namespace gguf_fuse::jinja::detail
