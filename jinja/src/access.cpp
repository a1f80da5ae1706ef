// SPDX-License-Identifier: MIT
#include <algorithm>

#include "characters.hpp"
#include "operators.hpp"

namespace gguf_fuse::jinja::detail {
namespace {

Result<Value> method_of(Machine& machine, const Value& base, std::string_view name) {
  const Builtin* const method = find_method(base, name);
  if (method == nullptr) return Value();
  GGUF_FUSE_CHECK(machine.charge(sizeof(Callable)));
  return Value(machine.heap().callable({.builtin = method, .self = base}));
}

// Python's indices: from the end where negative. Nothing outside.
std::optional<std::size_t> position(std::int64_t index, std::size_t size) {
  const auto count = static_cast<std::int64_t>(size);
  if (index < -count || index >= count) return std::nullopt;
  return static_cast<std::size_t>(index < 0 ? index + count : index);
}

Result<std::optional<std::int64_t>> slice_part(Machine& machine, const Value* value) {
  if (value == nullptr) return std::nullopt;
  const auto number = integer_of(*value);
  if (!number) return machine.failure("a slice by " + std::string(kind_name(*value)));
  return number;
}

}  // namespace

Result<Value> attribute_of(Machine& machine, const Value& base, std::string_view name) {
  if (const Undefined* const undefined = base.get<Undefined>()) return undefined_failure(machine, *undefined);
  const Dict* const dict = base.dict();
  if (dict != nullptr && dict->kind == Dict::Kind::Namespace) {
    const Value* const found = dict->find(name);
    return found == nullptr ? Value(Undefined{name}) : *found;
  }
  GGUF_FUSE_ASSIGN(Value method, method_of(machine, base, name));
  if (!method.is<Undefined>()) return method;
  const Value* const found = dict == nullptr ? nullptr : dict->find(name);
  return found == nullptr ? Value(Undefined{name}) : *found;
}

Result<const Value*> find_entry(Machine& machine, const Dict& dict, const Value& key) {
  GGUF_FUSE_CHECK(machine.step(dict.entries.size() / 8));
  if (const Text* const text = key.text()) return dict.find(text->bytes());
  if ((key.list() != nullptr && key.list()->kind != List::Kind::Tuple) || key.dict() != nullptr) {
    return machine.failure(std::string(kind_name(key)) + " cannot be a key");
  }
  for (const auto& [name, value] : dict.entries) {
    GGUF_FUSE_ASSIGN(const bool same, equal(machine, name, key));
    if (same) return &value;
  }
  return nullptr;
}

Result<Value> item_of(Machine& machine, const Value& base, const Value& key) {
  if (const Undefined* const undefined = base.get<Undefined>()) return undefined_failure(machine, *undefined);
  if (const Dict* const dict = base.dict()) {
    GGUF_FUSE_ASSIGN(const Value* const found, find_entry(machine, *dict, key));
    if (found != nullptr) return *found;
  }
  if (const auto index = integer_of(key)) {
    if (const List* const list = base.list()) {
      const auto at = position(*index, list->items.size());
      return at ? list->items[*at] : Value();
    }
    if (const Text* const text = base.text()) {
      GGUF_FUSE_CHECK(machine.charge(text->size()));
      const std::vector<std::size_t> starts = character_starts(text->bytes());
      const auto at = position(*index, starts.size() - 1);
      return at ? Value(text->slice(starts[*at], starts[*at + 1])) : Value();
    }
  }
  return key.text() == nullptr ? Value() : method_of(machine, base, key.text()->bytes());
}

Result<std::vector<Value>> elements_of(Machine& machine, const Value& value) {
  std::vector<Value> items;
  if (value.is<Undefined>()) return items;
  if (const List* const list = value.list()) {
    GGUF_FUSE_CHECK(machine.charge(list->items.size() * sizeof(Value)));
    return list->items;
  }
  if (const Dict* const dict = value.dict(); dict != nullptr && dict->kind == Dict::Kind::Dict) {
    GGUF_FUSE_CHECK(machine.charge(dict->entries.size() * sizeof(Value)));
    for (const auto& entry : dict->entries) items.push_back(entry.first);
    return items;
  }
  if (const Text* const text = value.text()) {
    constexpr std::size_t kBytes = sizeof(Value) + sizeof(Text) + 16;  // of one character
    GGUF_FUSE_CHECK(machine.charge(text->size() * kBytes));
    const std::vector<std::size_t> starts = character_starts(text->bytes());
    for (std::size_t i = 0; i + 1 < starts.size(); ++i) items.emplace_back(text->slice(starts[i], starts[i + 1]));
    return items;
  }
  return machine.failure(std::string(kind_name(value)) + " has no elements");
}

Result<Value> slice_of(Machine& machine, const Value& base, const Value* begin, const Value* end, const Value* step) {
  if (const Undefined* const undefined = base.get<Undefined>()) return undefined_failure(machine, *undefined);
  const Text* const text = base.text();
  if (text == nullptr && base.list() == nullptr) return Value();
  GGUF_FUSE_ASSIGN(const auto from, slice_part(machine, begin));
  GGUF_FUSE_ASSIGN(const auto to, slice_part(machine, end));
  GGUF_FUSE_ASSIGN(const auto by, slice_part(machine, step));
  const std::int64_t stride = by.value_or(1);
  if (stride == 0) return machine.failure("a slice with step 0");
  GGUF_FUSE_CHECK(machine.charge(text != nullptr ? text->size() : base.list()->items.size() * sizeof(Value)));
  const std::vector<std::size_t> starts =
      text != nullptr ? character_starts(text->bytes()) : std::vector<std::size_t>{};
  const auto size = static_cast<std::int64_t>(text != nullptr ? starts.size() - 1 : base.list()->items.size());
  // Python's rule: an end that is left out lies beyond the last element in the direction of the step.
  const auto limited = [&](std::optional<std::int64_t> index, std::int64_t standard) {
    if (!index) return standard;
    const std::int64_t at = *index < 0 ? std::max(*index, -size - 1) + size : *index;
    return stride > 0 ? std::clamp<std::int64_t>(at, 0, size) : std::clamp<std::int64_t>(at, -1, size - 1);
  };
  const std::int64_t first = limited(from, stride > 0 ? 0 : size - 1);
  const std::int64_t last = limited(to, stride > 0 ? size : -1);
  Text part;
  std::vector<Value> items;
  for (std::int64_t i = first; stride > 0 ? i < last : i > last;) {
    const auto at = static_cast<std::size_t>(i);
    if (text != nullptr) {
      part.append(*text, starts[at], starts[at + 1]);
    } else {
      items.push_back(base.list()->items[at]);
    }
    if (__builtin_add_overflow(i, stride, &i)) break;
  }
  return text != nullptr ? Value(std::move(part)) : machine.make_list(std::move(items), base.list()->kind);
}

}  // namespace gguf_fuse::jinja::detail
