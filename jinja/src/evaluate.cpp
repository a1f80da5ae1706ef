// SPDX-License-Identifier: MIT
#include <utility>

#include "machine.hpp"
#include "operators.hpp"
#include "represent.hpp"

namespace gguf_fuse::jinja::detail {

Result<Value> Machine::evaluate(const Node& node) {
  const Nested nested(*this);
  line_ = node.line;
  GGUF_FUSE_CHECK(step());
  switch (node.kind) {
    case NodeKind::Literal:
      return node.value;
    case NodeKind::Name:
      return evaluate_name(node);
    case NodeKind::List:
    case NodeKind::Tuple: {
      GGUF_FUSE_ASSIGN(std::vector<Value> items, evaluate_all(node, 0));
      return make_list(std::move(items), node.kind == NodeKind::Tuple ? List::Kind::Tuple : List::Kind::List);
    }
    case NodeKind::Dict:
      return evaluate_dict(node);
    case NodeKind::Attribute: {
      GGUF_FUSE_ASSIGN(const Value base, evaluate(*node.items[0]));
      return attribute_of(*this, base, node.name);
    }
    case NodeKind::Item:
      return evaluate_item(node);
    case NodeKind::Call:
      return evaluate_call(node);
    case NodeKind::Filter:
      return evaluate_filter(node);
    case NodeKind::Test:
      return evaluate_test(node);
    case NodeKind::Not: {
      GGUF_FUSE_ASSIGN(const bool found, holds(*node.items[0]));
      return Value(!found);
    }
    case NodeKind::Sign: {
      GGUF_FUSE_ASSIGN(const Value operand, evaluate(*node.items[0]));
      return arithmetic(*this, node.name, Value(std::int64_t{0}), operand);
    }
    case NodeKind::Arithmetic:
      return evaluate_chain(node);
    case NodeKind::Concatenate:
      return evaluate_concatenation(node);
    case NodeKind::Compare:
      return evaluate_comparison(node);
    case NodeKind::And:
    case NodeKind::Or:
      return evaluate_logic(node);
    case NodeKind::Conditional:
      return evaluate_conditional(node);
    default:
      return failure("a slice stands behind a value only");
  }
}

Result<bool> Machine::holds(const Node& condition) {
  GGUF_FUSE_ASSIGN(const Value value, evaluate(condition));
  return is_true(value);
}

Result<Value> Machine::evaluate_name(const Node& node) {
  for (const Scope* scope = scope_; scope != nullptr; scope = scope->parent) {
    for (const auto& [name, value] : scope->names) {
      if (name == node.name) return value;
    }
  }
  if (const Value* const global = globals_.find(node.name)) return *global;
  if (const Builtin* const function = find_function(node.name)) {
    GGUF_FUSE_CHECK(charge(sizeof(Callable)));
    return Value(heap_.callable({.builtin = function}));
  }
  return Value(Undefined{node.name});
}

Result<std::vector<Value>> Machine::evaluate_all(const Node& node, std::size_t first) {
  std::vector<Value> values;
  for (std::size_t i = first; i < node.items.size(); ++i) {
    GGUF_FUSE_ASSIGN(Value value, evaluate(*node.items[i]));
    values.push_back(std::move(value));
  }
  return values;
}

Result<Arguments> Machine::evaluate_arguments(const Node& node) {
  Arguments arguments;
  GGUF_FUSE_ASSIGN(arguments.positional, evaluate_all(node, 1));
  for (const auto& [name, item] : node.named) {
    GGUF_FUSE_ASSIGN(Value value, evaluate(*item));
    arguments.named.emplace_back(name, std::move(value));
  }
  return arguments;
}

Result<Value> Machine::evaluate_dict(const Node& node) {
  GGUF_FUSE_ASSIGN(std::vector<Value> items, evaluate_all(node, 0));
  GGUF_FUSE_CHECK(charge((items.size() + 2) * sizeof(Value)));
  Dict* const dict = heap_.dict();
  for (std::size_t i = 0; i < items.size(); i += 2) {
    GGUF_FUSE_ASSIGN(const Value* const known, find_entry(*this, *dict, items[i]));
    if (known == nullptr) {
      dict->entries.emplace_back(std::move(items[i]), std::move(items[i + 1]));
    } else {
      for (auto& [key, value] : dict->entries) {
        if (&value == known) value = std::move(items[i + 1]);
      }
    }
  }
  return Value(dict);
}

Result<Value> Machine::evaluate_item(const Node& node) {
  GGUF_FUSE_ASSIGN(const Value base, evaluate(*node.items[0]));
  const Node& index = *node.items[1];
  if (index.kind == NodeKind::Slice) return evaluate_slice(base, index);
  GGUF_FUSE_ASSIGN(const Value key, evaluate(index));
  return item_of(*this, base, key);
}

Result<Value> Machine::evaluate_slice(const Value& base, const Node& slice) {
  Value parts[3];
  for (std::size_t i = 0; i < 3; ++i) {
    if (slice.items[i] == nullptr) continue;
    GGUF_FUSE_ASSIGN(parts[i], evaluate(*slice.items[i]));
  }
  const auto part = [&](std::size_t i) {
    return slice.items[i] == nullptr || parts[i].is<None>() ? nullptr : &parts[i];
  };
  return slice_of(*this, base, part(0), part(1), part(2));
}

Result<Value> Machine::evaluate_call(const Node& node, const Value* caller) {
  GGUF_FUSE_ASSIGN(const Value callee, evaluate(*node.items[0]));
  GGUF_FUSE_ASSIGN(Arguments arguments, evaluate_arguments(node));
  if (caller != nullptr) arguments.named.emplace_back("caller", *caller);
  line_ = node.line;
  return call(callee, arguments);
}

// `block` takes the place of the null that the innermost filter is applied to.
Result<Value> Machine::evaluate_filter(const Node& node, const Value* block) {
  const Nested nested(*this);
  GGUF_FUSE_CHECK(step());
  Value self;
  if (node.items[0] == nullptr) {
    self = *block;
  } else if (block != nullptr) {
    GGUF_FUSE_ASSIGN(self, evaluate_filter(*node.items[0], block));
  } else {
    GGUF_FUSE_ASSIGN(self, evaluate(*node.items[0]));
  }
  const Builtin* const filter = find_filter(node.name);
  line_ = node.line;
  if (filter == nullptr) return failure("no filter is named \"" + escape_text(node.name) + '"');
  GGUF_FUSE_ASSIGN(const Arguments arguments, evaluate_arguments(node));
  line_ = node.line;
  return call(*filter, self, arguments);
}

Result<Value> Machine::evaluate_test(const Node& node) {
  GGUF_FUSE_ASSIGN(const Value self, evaluate(*node.items[0]));
  const Builtin* const test = find_test(node.name);
  line_ = node.line;
  if (test == nullptr) return failure("no test is named \"" + escape_text(node.name) + '"');
  GGUF_FUSE_ASSIGN(const Arguments arguments, evaluate_arguments(node));
  return call(*test, self, arguments);
}

Result<Value> Machine::evaluate_chain(const Node& node) {
  GGUF_FUSE_ASSIGN(Value value, evaluate(*node.items[0]));
  for (std::size_t i = 0; i < node.operators.size(); ++i) {
    GGUF_FUSE_ASSIGN(const Value right, evaluate(*node.items[i + 1]));
    line_ = node.line;
    GGUF_FUSE_ASSIGN(value, arithmetic(*this, node.operators[i], value, right));
  }
  return value;
}

Result<Value> Machine::evaluate_concatenation(const Node& node) {
  Text text;
  for (const Node* const item : node.items) {
    GGUF_FUSE_ASSIGN(const Value value, evaluate(*item));
    GGUF_FUSE_ASSIGN(const Text part, to_text(*this, value));
    GGUF_FUSE_CHECK(charge(part.size()));
    text.append(part);
  }
  return Value(std::move(text));
}

// a < b < c compares each with its neighbour, as far as they hold.
Result<Value> Machine::evaluate_comparison(const Node& node) {
  GGUF_FUSE_ASSIGN(Value left, evaluate(*node.items[0]));
  for (std::size_t i = 0; i < node.operators.size(); ++i) {
    GGUF_FUSE_ASSIGN(Value right, evaluate(*node.items[i + 1]));
    line_ = node.line;
    GGUF_FUSE_ASSIGN(const bool found, compare(*this, node.operators[i], left, right));
    if (!found) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Result<Value> Machine::evaluate_logic(const Node& node) {
  Value value;
  for (const Node* const item : node.items) {
    GGUF_FUSE_ASSIGN(value, evaluate(*item));
    if (is_true(value) == (node.kind == NodeKind::Or)) break;
  }
  return value;
}

Result<Value> Machine::evaluate_conditional(const Node& node) {
  GGUF_FUSE_ASSIGN(const bool found, holds(*node.items[1]));
  if (found) return evaluate(*node.items[0]);
  return node.items[2] == nullptr ? Result<Value>(Value()) : evaluate(*node.items[2]);
}

}  // namespace gguf_fuse::jinja::detail
