// SPDX-License-Identifier: MIT
#include <algorithm>
#include <charconv>

#include "operators.hpp"
#include "strings.hpp"

namespace gguf_fuse::jinja::detail {
namespace {

using Self = const Value&;
using Args = const Arguments&;

bool flag(Args arguments, std::size_t position, std::string_view name) {
  const Value* const value = arguments.get(position, name);
  return value != nullptr && is_true(*value);
}

// value.a.b for "a.b"; numbers are indices.
Result<Value> by_path(Machine& machine, Value value, const Value* path) {
  if (path == nullptr || path->is<None>()) return value;
  if (path->text() == nullptr) return item_of(machine, value, *path);
  std::string_view rest = path->text()->bytes();
  for (;;) {
    const std::string_view name = rest.substr(0, rest.find('.'));
    std::int64_t index = 0;
    const auto read = std::from_chars(name.data(), name.data() + name.size(), index);
    const bool number = read.ec == std::errc() && read.ptr == name.data() + name.size();
    GGUF_FUSE_ASSIGN(value,
                     item_of(machine, value, number ? Value(index) : Value(std::string(name), Origin::Template)));
    if (name.size() == rest.size()) return value;
    rest.remove_prefix(name.size() + 1);
  }
}

// Texts in any case are equal, as the filters that compare have it.
Value comparable(const Value& value, bool case_sensitive) {
  return value.text() != nullptr && !case_sensitive ? Value(lower(*value.text())) : value;
}

Result<std::vector<Value>> keys_of(Machine& machine, const std::vector<Value>& items, const Value* path,
                                   bool sensitive) {
  std::vector<Value> keys;
  for (const Value& item : items) {
    GGUF_FUSE_ASSIGN(const Value key, by_path(machine, item, path));
    keys.push_back(comparable(key, sensitive));
  }
  return keys;
}

// The order of the keys, equal ones as they were.
Result<std::vector<std::size_t>> sorted_order(Machine& machine, const std::vector<Value>& keys, bool reverse) {
  std::vector<std::size_t> indices(keys.size());
  for (std::size_t i = 0; i < indices.size(); ++i) indices[i] = i;
  std::optional<Error> error;
  std::stable_sort(indices.begin(), indices.end(), [&](std::size_t a, std::size_t b) {
    if (error) return false;
    const auto sign = order(machine, keys[a], keys[b]);
    if (!sign) error = sign.error();
    return sign && (reverse ? *sign > 0 : *sign < 0);
  });
  if (error) return fail(*error);
  return indices;
}

Result<Value> to_list(Machine& machine, Self self, Args) {
  GGUF_FUSE_ASSIGN(std::vector<Value> items, elements_of(machine, self));
  return machine.make_list(std::move(items));
}

Result<Value> first(Machine& machine, Self self, Args) {
  GGUF_FUSE_ASSIGN(const std::vector<Value> items, elements_of(machine, self));
  return items.empty() ? Value() : items.front();
}

Result<Value> last(Machine& machine, Self self, Args) {
  GGUF_FUSE_ASSIGN(const std::vector<Value> items, elements_of(machine, self));
  return items.empty() ? Value() : items.back();
}

Result<Value> length(Machine& machine, Self self, Args) {
  std::size_t count = 0;
  if (const Text* const text = self.text()) {
    count = count_characters(text->bytes());
  } else if (const List* const list = self.list()) {
    count = list->items.size();
  } else if (const Dict* const dict = self.dict(); dict != nullptr && dict->kind == Dict::Kind::Dict) {
    count = dict->entries.size();
  } else if (!self.is<Undefined>()) {
    return machine.failure(std::string(kind_name(self)) + " has no length");
  }
  return Value(static_cast<std::int64_t>(count));
}

Result<Value> join(Machine& machine, Self self, Args arguments) {
  GGUF_FUSE_ASSIGN(std::vector<Value> items, elements_of(machine, self));
  const Value* const path = arguments.get(1, "attribute");
  for (Value& item : items) {
    GGUF_FUSE_ASSIGN(item, by_path(machine, item, path));
  }
  const Value* const between = arguments.get(0, "d");
  Text text;
  if (between != nullptr) {
    GGUF_FUSE_ASSIGN(const Text* const given, text_argument(machine, between, "what stands between"));
    text = *given;
  }
  GGUF_FUSE_ASSIGN(Text result, joined(machine, items, text));
  return Value(std::move(result));
}

// What map, select and the like go over: nothing where Python finds that there is nothing, be it none.
Result<std::vector<Value>> elements_or_none(Machine& machine, Self self) {
  return is_true(self) ? elements_of(machine, self) : std::vector<Value>{};
}

Result<Value> map(Machine& machine, Self self, Args arguments) {
  GGUF_FUSE_ASSIGN(std::vector<Value> items, elements_or_none(machine, self));
  const Value* const path = arguments.get(kAnyNumber, "attribute");
  const Value* const standard = arguments.get(kAnyNumber, "default");
  const Builtin* filter = nullptr;
  Arguments rest;
  if (path == nullptr) {
    GGUF_FUSE_ASSIGN(const Text* const name, text_argument(machine, arguments.get(0, "filter"), "the filters to map"));
    filter = find_filter(name->bytes());
    if (filter == nullptr) return machine.failure("no filter is named \"" + escape_text(name->bytes()) + '"');
    rest.positional.assign(arguments.positional.begin() + 1, arguments.positional.end());
    rest.named = arguments.named;
  }
  for (Value& item : items) {
    if (filter != nullptr) {
      GGUF_FUSE_ASSIGN(item, machine.call(*filter, item, rest));
      continue;
    }
    GGUF_FUSE_ASSIGN(item, by_path(machine, item, path));
    if (item.is<Undefined>() && standard != nullptr) item = *standard;
  }
  return machine.make_list(std::move(items), List::Kind::Generator);
}

// select, reject, selectattr and rejectattr.
template <bool Wanted, bool ByAttribute>
Result<Value> filtered(Machine& machine, Self self, Args arguments) {
  GGUF_FUSE_ASSIGN(const std::vector<Value> items, elements_or_none(machine, self));
  constexpr std::size_t kTest = ByAttribute ? 1 : 0;
  const Builtin* test = nullptr;
  Arguments rest;
  if (arguments.positional.size() > kTest) {
    GGUF_FUSE_ASSIGN(const Text* const name, text_argument(machine, &arguments.positional[kTest], "tests"));
    test = find_test(name->bytes());
    if (test == nullptr) return machine.failure("no test is named \"" + escape_text(name->bytes()) + '"');
    rest.positional.assign(arguments.positional.begin() + kTest + 1, arguments.positional.end());
  }
  std::vector<Value> kept;
  for (const Value& item : items) {
    GGUF_FUSE_ASSIGN(Value value, by_path(machine, item, ByAttribute ? arguments.get(0, "attribute") : nullptr));
    if (test != nullptr) {
      GGUF_FUSE_ASSIGN(value, machine.call(*test, value, rest));
    }
    if (is_true(value) == Wanted) kept.push_back(item);
  }
  return machine.make_list(std::move(kept), List::Kind::Generator);
}

Result<Value> sort(Machine& machine, Self self, Args arguments) {
  GGUF_FUSE_ASSIGN(const std::vector<Value> items, elements_of(machine, self));
  GGUF_FUSE_ASSIGN(const auto keys,
                   keys_of(machine, items, arguments.get(2, "attribute"), flag(arguments, 1, "case_sensitive")));
  GGUF_FUSE_ASSIGN(const auto indices, sorted_order(machine, keys, flag(arguments, 0, "reverse")));
  std::vector<Value> result;
  for (const std::size_t i : indices) result.push_back(items[i]);
  return machine.make_list(std::move(result));
}

Result<Value> items_of(Machine& machine, Self self, Args) {
  if (self.is<Undefined>()) return machine.make_list({});
  const Dict* const dict = self.dict();
  if (dict == nullptr || dict->kind != Dict::Kind::Dict)
    return machine.failure("items of " + std::string(kind_name(self)));
  std::vector<Value> pairs;
  for (const auto& [key, value] : dict->entries) {
    GGUF_FUSE_ASSIGN(Value pair, machine.make_list({key, value}, List::Kind::Tuple));
    pairs.push_back(std::move(pair));
  }
  return machine.make_list(std::move(pairs), List::Kind::Generator);
}

Result<Value> dictsort(Machine& machine, Self self, Args arguments) {
  GGUF_FUSE_ASSIGN(const Value pairs, items_of(machine, self, {}));
  const Value* const by = arguments.get(1, "by");
  const bool by_value = by != nullptr && by->text() != nullptr && by->text()->bytes() == "value";
  const Value column(std::int64_t{by_value ? 1 : 0});
  const std::vector<Value>& items = pairs.list()->items;
  GGUF_FUSE_ASSIGN(const auto keys, keys_of(machine, items, &column, flag(arguments, 0, "case_sensitive")));
  GGUF_FUSE_ASSIGN(const auto indices, sorted_order(machine, keys, flag(arguments, 2, "reverse")));
  std::vector<Value> result;
  for (const std::size_t i : indices) result.push_back(items[i]);
  return machine.make_list(std::move(result));
}

Result<Value> reverse(Machine& machine, Self self, Args) {
  if (self.text() != nullptr) {
    const Value step(std::int64_t{-1});
    return slice_of(machine, self, nullptr, nullptr, &step);
  }
  GGUF_FUSE_ASSIGN(std::vector<Value> items, elements_of(machine, self));
  std::reverse(items.begin(), items.end());
  return machine.make_list(std::move(items), List::Kind::Generator);
}

Result<Value> unique(Machine& machine, Self self, Args arguments) {
  GGUF_FUSE_ASSIGN(const std::vector<Value> items, elements_of(machine, self));
  GGUF_FUSE_ASSIGN(const auto keys,
                   keys_of(machine, items, arguments.get(1, "attribute"), flag(arguments, 0, "case_sensitive")));
  std::vector<Value> result;
  std::vector<std::size_t> kept;
  for (std::size_t i = 0; i < items.size(); ++i) {
    bool known = false;
    for (const std::size_t before : kept) {
      GGUF_FUSE_ASSIGN(const bool same, equal(machine, keys[before], keys[i]));
      known = known || same;
    }
    if (known) continue;
    kept.push_back(i);
    result.push_back(items[i]);
  }
  return machine.make_list(std::move(result), List::Kind::Generator);
}

template <bool Greatest>
Result<Value> extreme(Machine& machine, Self self, Args arguments) {
  GGUF_FUSE_ASSIGN(const std::vector<Value> items, elements_of(machine, self));
  GGUF_FUSE_ASSIGN(const auto keys,
                   keys_of(machine, items, arguments.get(1, "attribute"), flag(arguments, 0, "case_sensitive")));
  if (items.empty()) return Value();
  std::size_t best = 0;
  for (std::size_t i = 1; i < items.size(); ++i) {
    GGUF_FUSE_ASSIGN(const int sign, order(machine, keys[i], keys[best]));
    if (Greatest ? sign > 0 : sign < 0) best = i;
  }
  return items[best];
}

Result<Value> sum(Machine& machine, Self self, Args arguments) {
  GGUF_FUSE_ASSIGN(const std::vector<Value> items, elements_of(machine, self));
  const Value* const start = arguments.get(1, "start");
  Value total = start == nullptr ? Value(std::int64_t{0}) : *start;
  for (const Value& item : items) {
    GGUF_FUSE_ASSIGN(const Value value, by_path(machine, item, arguments.get(0, "attribute")));
    GGUF_FUSE_ASSIGN(total, arithmetic(machine, "+", total, value));
  }
  return total;
}

Result<Value> attribute(Machine& machine, Self self, Args arguments) {
  GGUF_FUSE_ASSIGN(const Text* const name, text_argument(machine, arguments.get(0, "name"), "attributes"));
  return attribute_of(machine, self, name->bytes());
}

constexpr Builtin kFilters[] = {{"attr", 1, attribute},
                                {"count", 0, length},
                                {"dictsort", 3, dictsort},
                                {"first", 0, first},
                                {"items", 0, items_of},
                                {"join", 2, join},
                                {"last", 0, last},
                                {"length", 0, length},
                                {"list", 0, to_list},
                                {"map", kAnyNumber, map},
                                {"max", 2, extreme<true>},
                                {"min", 2, extreme<false>},
                                {"reject", kAnyNumber, filtered<false, false>},
                                {"rejectattr", kAnyNumber, filtered<false, true>},
                                {"reverse", 0, reverse},
                                {"select", kAnyNumber, filtered<true, false>},
                                {"selectattr", kAnyNumber, filtered<true, true>},
                                {"sort", 3, sort},
                                {"sum", 2, sum},
                                {"unique", 2, unique}};

}  // namespace

std::span<const Builtin> list_filters() { return kFilters; }

}  // namespace gguf_fuse::jinja::detail
