// SPDX-License-Identifier: MIT
// Global functions, the methods of lists, dicts and loops, and where builtins are looked up.
#include <algorithm>
#include <array>

#include "operators.hpp"
#include "represent.hpp"
#include "strings.hpp"

namespace gguf_fuse::jinja::detail {
namespace {

using Self = const Value&;
using Args = const Arguments&;

template <Dict::Kind Kind>
Result<Value> make_dict(Machine& machine, Self, Args arguments) {
  GGUF_FUSE_CHECK(machine.charge(sizeof(Dict) + arguments.named.size() * 4 * sizeof(Value)));
  Dict* const dict = machine.heap().dict(Kind);
  if (!arguments.positional.empty()) {
    const Dict* const source = arguments.positional[0].dict();
    if (source == nullptr || arguments.positional.size() > 1) return machine.failure("a dict is made of a dict");
    GGUF_FUSE_CHECK(machine.charge(source->entries.size() * 2 * sizeof(Value)));
    dict->entries = source->entries;
  }
  for (const auto& [name, value] : arguments.named) dict->set(name, value);
  return Value(dict);
}

Result<Value> range(Machine& machine, Self, Args arguments) {
  constexpr std::int64_t kMost = 100'000;  // as Jinja2's sandbox has it
  std::int64_t parts[3] = {0, 0, 1};
  const std::size_t count = arguments.positional.size();
  if (count == 0) return machine.failure("range wants an end");
  for (std::size_t i = 0; i < count; ++i) {
    GGUF_FUSE_ASSIGN(parts[count == 1 ? 1 : i], integer_argument(machine, &arguments.positional[i], 0));
  }
  const auto [begin, end, step] = parts;
  if (step == 0) return machine.failure("a range with step 0");
  std::vector<Value> items;
  for (std::int64_t i = begin; step > 0 ? i < end : i > end;) {
    items.emplace_back(i);
    if (static_cast<std::int64_t>(items.size()) > kMost) return machine.failure("a range of more than 100000 numbers");
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return machine.make_list(std::move(items));
}

Result<Value> raise_exception(Machine& machine, Self, Args arguments) {
  if (arguments.positional.empty()) return machine.failure("raise_exception without a text");
  GGUF_FUSE_ASSIGN(const Text text, to_text(machine, arguments.positional[0]));
  return machine.failure(escape_text(text.bytes()));
}

Result<Value> strftime_now(Machine& machine, Self, Args arguments) {
  GGUF_FUSE_ASSIGN(const Text* const format, text_argument(machine, arguments.get(0, "format"), "formats of the date"));
  constexpr std::size_t kMostFormat = 100;
  std::tm local{};
  const std::time_t now = machine.now();
  if (format->size() > kMostFormat || localtime_r(&now, &local) == nullptr) {
    return machine.failure("a format of the date that is too long");
  }
  std::array<char, 4096> text{};
  const std::size_t size = std::strftime(text.data(), text.size(), format->bytes().c_str(), &local);
  return Value(std::string(text.data(), size), Origin::Template);
}

constexpr Builtin kFunctions[] = {{"dict", kAnyNumber, make_dict<Dict::Kind::Dict>},
                                  {"namespace", kAnyNumber, make_dict<Dict::Kind::Namespace>},
                                  {"raise_exception", 1, raise_exception},
                                  {"range", 3, range},
                                  {"strftime_now", 1, strftime_now}};

Result<Value> get(Machine& machine, Self self, Args arguments) {
  if (arguments.positional.empty()) return machine.failure("get wants a key");
  GGUF_FUSE_ASSIGN(const Value* const found, find_entry(machine, *self.dict(), arguments.positional[0]));
  if (found != nullptr) return *found;
  const Value* const standard = arguments.get(1, "default");
  return standard == nullptr ? Value(None{}) : *standard;
}

enum class Part { Keys, Values, Items };

template <Part Wanted>
Result<Value> entries(Machine& machine, Self self, Args) {
  std::vector<Value> items;
  for (const auto& [key, value] : self.dict()->entries) {
    if (Wanted != Part::Items) {
      items.push_back(Wanted == Part::Keys ? key : value);
      continue;
    }
    GGUF_FUSE_ASSIGN(Value pair, machine.make_list({key, value}, List::Kind::Tuple));
    items.push_back(std::move(pair));
  }
  return machine.make_list(std::move(items));
}

constexpr Builtin kDictMethods[] = {{"get", 2, get},
                                    {"items", 0, entries<Part::Items>},
                                    {"keys", 0, entries<Part::Keys>},
                                    {"values", 0, entries<Part::Values>}};

Result<Value> append(Machine& machine, Self self, Args arguments) {
  if (arguments.positional.size() != 1) return machine.failure("append wants one value");
  GGUF_FUSE_CHECK(machine.charge(2 * sizeof(Value)));
  self.list()->items.push_back(arguments.positional[0]);
  return Value(None{});
}

Result<Value> pop(Machine& machine, Self self, Args arguments) {
  std::vector<Value>& items = self.list()->items;
  GGUF_FUSE_ASSIGN(const std::int64_t given, integer_argument(machine, arguments.get(0, "index"), -1));
  const auto size = static_cast<std::int64_t>(items.size());
  const std::int64_t index = given < 0 ? given + size : given;
  if (index < 0 || index >= size) return machine.failure("pop of an element that is not there");
  GGUF_FUSE_CHECK(machine.step(items.size() / 64));
  Value value = items[static_cast<std::size_t>(index)];
  items.erase(items.begin() + index);
  return value;
}

template <bool Counts>
Result<Value> position(Machine& machine, Self self, Args arguments) {
  if (arguments.positional.size() != 1) return machine.failure("one value to look for is wanted");
  std::int64_t number = 0;
  const std::vector<Value>& items = self.list()->items;
  for (std::size_t i = 0; i < items.size(); ++i) {
    GGUF_FUSE_ASSIGN(const bool same, equal(machine, items[i], arguments.positional[0]));
    if (same && !Counts) return Value(static_cast<std::int64_t>(i));
    number += same ? 1 : 0;
  }
  if (!Counts) return machine.failure("a value that is not in the list");
  return Value(number);
}

constexpr Builtin kListMethods[] = {
    {"append", 1, append}, {"count", 1, position<true>}, {"index", 1, position<false>}, {"pop", 1, pop}};

Result<Value> cycle(Machine& machine, Self self, Args arguments) {
  const Value* const index = self.dict()->find("index0");
  if (arguments.positional.empty() || index == nullptr) return machine.failure("cycle wants values");
  const auto round = static_cast<std::size_t>(integer_of(*index).value_or(0));
  return arguments.positional[round % arguments.positional.size()];
}

constexpr Builtin kLoopMethods[] = {{"cycle", kAnyNumber, cycle}};

const Builtin* find(std::span<const Builtin> table, std::string_view name) {
  const auto found = std::find_if(table.begin(), table.end(), [name](const Builtin& row) { return row.name == name; });
  return found == table.end() ? nullptr : &*found;
}

}  // namespace

const Builtin* find_filter(std::string_view name) {
  const Builtin* const filter = find(text_filters(), name);
  return filter == nullptr ? find(list_filters(), name) : filter;
}

const Builtin* find_function(std::string_view name) { return find(kFunctions, name); }

const Builtin* find_method(const Value& self, std::string_view name) {
  if (self.text() != nullptr) return find(string_methods(), name);
  if (self.list() != nullptr) return find(kListMethods, name);
  if (self.dict() == nullptr || self.dict()->kind == Dict::Kind::Namespace) return nullptr;
  return self.dict()->kind == Dict::Kind::Loop ? find(kLoopMethods, name) : find(kDictMethods, name);
}

}  // namespace gguf_fuse::jinja::detail
