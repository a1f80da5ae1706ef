// SPDX-License-Identifier: MIT
#include "gguf_fuse/jinja/value.hpp"

#include "callable.hpp"

namespace gguf_fuse::jinja {

const Value* Dict::find(std::string_view key) const {
  for (const auto& [name, value] : entries) {
    if (const Text* const text = name.text(); text != nullptr && text->bytes() == key) return &value;
  }
  return nullptr;
}

void Dict::set(std::string_view key, Value value, Origin origin) {
  for (auto& [name, old] : entries) {
    if (const Text* const text = name.text(); text != nullptr && text->bytes() == key) {
      old = std::move(value);
      return;
    }
  }
  entries.emplace_back(Value(std::string(key), origin), std::move(value));
}

Heap::Heap() = default;
Heap::~Heap() = default;

List* Heap::list(std::vector<Value> items, List::Kind kind) {
  return &lists_.emplace_back(List{.kind = kind, .items = std::move(items)});
}

Dict* Heap::dict(Dict::Kind kind) { return &dicts_.emplace_back(Dict{.kind = kind}); }

const Callable* Heap::callable(Callable callable) { return &callables_.emplace_back(std::move(callable)); }

}  // namespace gguf_fuse::jinja
