// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "gguf_fuse/jinja/text.hpp"
#include "gguf_fuse/loader/export.hpp"

namespace gguf_fuse::jinja {

struct List;
struct Dict;
namespace detail {
struct Callable;
}

/// What is not there; `name` is for the message when it is used all the same.
struct Undefined {
  std::string_view name{};
};
struct None {};
using StringValue = std::shared_ptr<const Text>;

/// A value of the language. Lists, dicts and callables belong to a Heap and are shared, as in Python.
class Value {
 public:
  Value() = default;
  template <typename T>
  requires std::same_as<T, Undefined> || std::same_as<T, None> || std::same_as<T, bool> ||
      std::same_as<T, std::int64_t> || std::same_as<T, double> || std::same_as<T, StringValue> ||
      std::same_as<T, List*> || std::same_as<T, Dict*> || std::same_as<T, const Callable*>
      Value(T value) : data_(std::move(value)) {}
  Value(Text text) : data_(std::make_shared<const Text>(std::move(text))) {}
  Value(std::string text, Origin origin) : Value(Text(std::move(text), origin)) {}

  template <typename T>
  [[nodiscard]] bool is() const {
    return std::holds_alternative<T>(data_);
  }
  template <typename T>
  [[nodiscard]] const T* get() const {
    return std::get_if<T>(&data_);
  }
  /// The text of a string; nullptr for all else.
  [[nodiscard]] const Text* text() const { return is<StringValue>() ? std::get<StringValue>(data_).get() : nullptr; }
  [[nodiscard]] List* list() const { return is<List*>() ? std::get<List*>(data_) : nullptr; }
  [[nodiscard]] Dict* dict() const { return is<Dict*>() ? std::get<Dict*>(data_) : nullptr; }
  [[nodiscard]] const Callable* callable() const {
    return is<const Callable*>() ? std::get<const Callable*>(data_) : nullptr;
  }

 private:
  std::variant<Undefined, None, bool, std::int64_t, double, StringValue, List*, Dict*, const Callable*> data_{};
};

struct List {
  enum class Kind : std::uint8_t { List, Tuple, Generator };
  Kind kind = Kind::List;
  std::vector<Value> items{};
};

/// Keeps the order of insertion. Also namespaces and the `loop` of a for statement, which have attributes only.
struct Dict {
  enum class Kind : std::uint8_t { Dict, Namespace, Loop };
  Kind kind = Kind::Dict;
  std::vector<std::pair<Value, Value>> entries{};

  /// nullptr when there is none.
  [[nodiscard]] GGUF_FUSE_EXPORT const Value* find(std::string_view key) const;
  /// Replaces the value of a key that is there already.
  GGUF_FUSE_EXPORT void set(std::string_view key, Value value, Origin origin = Origin::Template);
};

/// Owns what values share, until nothing needs it any more: all of it goes at once, so that no cycle stays behind.
class GGUF_FUSE_EXPORT Heap {
 public:
  Heap();
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;
  ~Heap();

  [[nodiscard]] List* list(std::vector<Value> items = {}, List::Kind kind = List::Kind::List);
  [[nodiscard]] Dict* dict(Dict::Kind kind = Dict::Kind::Dict);
  [[nodiscard]] const Callable* callable(Callable callable);

 private:
  std::deque<List> lists_;
  std::deque<Dict> dicts_;
  std::deque<Callable> callables_;
};

}  // namespace gguf_fuse::jinja
