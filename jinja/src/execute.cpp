// SPDX-License-Identifier: MIT
#include <algorithm>
#include <utility>

#include "machine.hpp"
#include "operators.hpp"
#include "represent.hpp"

namespace gguf_fuse::jinja::detail {

/// Opens a scope and returns to the one before.
class Machine::InScope {
 public:
  InScope(Machine& machine, Scope* parent) : machine_(machine), before_(machine.scope_) {
    machine_.scope_ = &machine_.scopes_.emplace_back(Scope{.parent = parent});
  }
  InScope(const InScope&) = delete;
  InScope& operator=(const InScope&) = delete;
  ~InScope() {
    if (!machine_.scope_->captured && machine_.scope_ == &machine_.scopes_.back()) machine_.scopes_.pop_back();
    machine_.scope_ = before_;
  }

 private:
  Machine& machine_;
  Scope* before_;
};

tl::unexpected<Error> Machine::failure(std::string what) const {
  return fail(
      Error{.code = ErrorCode::TemplateFailed, .subject = "line " + std::to_string(line_), .actual = std::move(what)});
}

Result<void> Machine::step(std::uint64_t count) {
  steps_ += count;
  if (steps_ <= limits_.steps && depth_ <= limits_.depth) return {};
  const bool deep = depth_ > limits_.depth;
  return fail(Error{.code = ErrorCode::TemplateLimit,
                    .subject = "line " + std::to_string(line_),
                    .expected = deep ? std::to_string(limits_.depth) + " levels of expressions and calls"
                                     : std::to_string(limits_.steps) + " steps",
                    .actual = "more"});
}

Result<void> Machine::charge(std::uint64_t bytes) {
  bytes_ += std::min(bytes, limits_.bytes + 1);
  if (bytes_ <= limits_.bytes) return step(bytes / 256);
  return fail(Error{.code = ErrorCode::TemplateLimit,
                    .subject = "line " + std::to_string(line_),
                    .expected = std::to_string(limits_.bytes) + " bytes of texts and lists",
                    .actual = "more"});
}

Result<Value> Machine::make_list(std::vector<Value> items, List::Kind kind) {
  GGUF_FUSE_CHECK(charge((items.size() + 2) * sizeof(Value)));
  return Value(heap_.list(std::move(items), kind));
}

Result<Text> Machine::run(const Body& body) {
  Text text;
  out_ = &text;
  const InScope scope(*this, nullptr);
  GGUF_FUSE_CHECK(execute(body));
  return text;
}

Machine::FlowResult Machine::execute(const Body& body) {
  const Nested nested(*this);
  for (const Node* const node : body) {
    line_ = node->line;
    GGUF_FUSE_CHECK(step());
    GGUF_FUSE_ASSIGN(const Flow flow, execute(*node));
    if (flow != Flow::Next) return flow;
  }
  return Flow::Next;
}

Machine::FlowResult Machine::execute(const Node& node) {
  switch (node.kind) {
    case NodeKind::Data:
      GGUF_FUSE_CHECK(print(node.value));
      break;
    case NodeKind::Print: {
      GGUF_FUSE_ASSIGN(const Value value, evaluate(*node.items[0]));
      GGUF_FUSE_CHECK(print(value));
      break;
    }
    case NodeKind::If:
      return execute_if(node);
    case NodeKind::For:
      return execute_for(node);
    case NodeKind::Set:
    case NodeKind::SetBlock:
      GGUF_FUSE_CHECK(execute_set(node));
      break;
    case NodeKind::Macro:
      GGUF_FUSE_CHECK(charge(sizeof(Callable)));
      for (Scope* scope = scope_; scope != nullptr; scope = scope->parent) scope->captured = true;
      set_name(node.name, Value(heap_.callable({.macro = &node, .scope = scope_})));
      break;
    case NodeKind::CallBlock:
      GGUF_FUSE_CHECK(execute_call_block(node));
      break;
    case NodeKind::FilterBlock: {
      GGUF_FUSE_ASSIGN(Text text, captured(node.bodies[0]));
      const Value block(std::move(text));
      GGUF_FUSE_ASSIGN(const Value value, evaluate_filter(*node.items[0], &block));
      GGUF_FUSE_CHECK(print(value));
      break;
    }
    case NodeKind::Scope:
      return execute_scope(node);
    case NodeKind::Break:
      return Flow::Break;
    default:
      return Flow::Continue;
  }
  return Flow::Next;
}

Machine::FlowResult Machine::execute_if(const Node& node) {
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    GGUF_FUSE_ASSIGN(const bool found, holds(*node.items[i]));
    if (found) return execute(node.bodies[i]);
  }
  return node.bodies.size() > node.items.size() ? execute(node.bodies.back()) : FlowResult(Flow::Next);
}

Result<std::vector<Value>> Machine::iterated(const Node& node) {
  GGUF_FUSE_ASSIGN(const Value source, evaluate(*node.items[1]));
  GGUF_FUSE_ASSIGN(std::vector<Value> items, elements_of(*this, source));
  if (node.items[2] == nullptr) return items;
  std::vector<Value> kept;
  for (Value& item : items) {
    const InScope scope(*this, scope_);
    GGUF_FUSE_CHECK(assign(*node.items[0], item));
    GGUF_FUSE_ASSIGN(const bool keep, holds(*node.items[2]));
    if (keep) kept.push_back(std::move(item));
  }
  return kept;
}

Machine::FlowResult Machine::execute_for(const Node& node) {
  GGUF_FUSE_ASSIGN(const std::vector<Value> items, iterated(node));
  if (!items.empty()) return execute_rounds(node, items);
  if (node.bodies.size() < 2) return Flow::Next;
  const InScope scope(*this, scope_);
  return execute(node.bodies[1]);
}

Machine::FlowResult Machine::execute_rounds(const Node& node, const std::vector<Value>& items) {
  GGUF_FUSE_CHECK(charge(16 * sizeof(Value)));
  Dict* const loop = heap_.dict(Dict::Kind::Loop);
  const auto number = [](std::size_t value) { return Value(static_cast<std::int64_t>(value)); };
  const std::size_t count = items.size();
  for (std::size_t i = 0; i < count; ++i) {
    GGUF_FUSE_CHECK(step());
    loop->set("index", number(i + 1));
    loop->set("index0", number(i));
    loop->set("revindex", number(count - i));
    loop->set("revindex0", number(count - i - 1));
    loop->set("first", Value(i == 0));
    loop->set("last", Value(i + 1 == count));
    loop->set("length", number(count));
    loop->set("previtem", i == 0 ? Value() : items[i - 1]);
    loop->set("nextitem", i + 1 == count ? Value() : items[i + 1]);
    const InScope scope(*this, scope_);
    set_name("loop", Value(loop));
    GGUF_FUSE_CHECK(assign(*node.items[0], items[i]));
    GGUF_FUSE_ASSIGN(const Flow flow, execute(node.bodies[0]));
    if (flow == Flow::Break) break;
  }
  return Flow::Next;
}

Machine::FlowResult Machine::execute_scope(const Node& node) {
  std::vector<Value> values;
  for (std::size_t i = 1; i < node.items.size(); i += 2) {
    GGUF_FUSE_ASSIGN(Value value, evaluate(*node.items[i]));
    values.push_back(std::move(value));
  }
  const InScope scope(*this, scope_);
  for (std::size_t i = 0; i < values.size(); ++i) GGUF_FUSE_CHECK(assign(*node.items[2 * i], std::move(values[i])));
  return execute(node.bodies[0]);
}

Result<void> Machine::execute_set(const Node& node) {
  if (node.kind == NodeKind::Set) {
    GGUF_FUSE_ASSIGN(Value value, evaluate(*node.items[1]));
    return assign(*node.items[0], std::move(value));
  }
  GGUF_FUSE_ASSIGN(Text text, captured(node.bodies[0]));
  Value value(std::move(text));
  if (node.items[1] != nullptr) {
    const Value block = value;
    GGUF_FUSE_ASSIGN(value, evaluate_filter(*node.items[1], &block));
  }
  return assign(*node.items[0], std::move(value));
}

Result<void> Machine::execute_call_block(const Node& node) {
  GGUF_FUSE_CHECK(charge(sizeof(Callable)));
  for (Scope* scope = scope_; scope != nullptr; scope = scope->parent) scope->captured = true;
  const Value caller(heap_.callable({.macro = &node, .scope = scope_}));
  GGUF_FUSE_ASSIGN(const Value value, evaluate_call(*node.items[0], &caller));
  return print(value);
}

Result<void> Machine::assign(const Node& target, Value value) {
  if (target.kind == NodeKind::Name) {
    set_name(target.name, std::move(value));
    return {};
  }
  if (target.kind == NodeKind::Attribute) {
    GGUF_FUSE_ASSIGN(const Value base, evaluate(*target.items[0]));
    Dict* const space = base.dict();
    if (space == nullptr || space->kind != Dict::Kind::Namespace) {
      return failure("attributes can be set on a namespace only, and this is " + std::string(kind_name(base)));
    }
    GGUF_FUSE_CHECK(charge(sizeof(Value)));
    space->set(target.name, std::move(value));
    return {};
  }
  GGUF_FUSE_ASSIGN(std::vector<Value> parts, elements_of(*this, value));
  if (parts.size() != target.items.size()) {
    return failure(std::to_string(target.items.size()) + " names for " + std::to_string(parts.size()) + " values");
  }
  for (std::size_t i = 0; i < parts.size(); ++i) GGUF_FUSE_CHECK(assign(*target.items[i], std::move(parts[i])));
  return {};
}

void Machine::set_name(std::string_view name, Value value) {
  for (auto& [known, old] : scope_->names) {
    if (known == name) {
      old = std::move(value);
      return;
    }
  }
  scope_->names.emplace_back(name, std::move(value));
}

Result<void> Machine::print(const Value& value) {
  if (const Text* const text = value.text()) {
    GGUF_FUSE_CHECK(charge(text->size()));
    out_->append(*text);
    return {};
  }
  GGUF_FUSE_ASSIGN(const Text text, to_text(*this, value));
  GGUF_FUSE_CHECK(charge(text.size()));
  out_->append(text);
  return {};
}

// What a block prints, instead of printing it.
Result<Text> Machine::captured(const Body& body) {
  Text text;
  Text* const before = std::exchange(out_, &text);
  const InScope scope(*this, scope_);
  const auto done = execute(body);
  out_ = before;
  GGUF_FUSE_CHECK(done);
  return text;
}

Result<Value> Machine::call(const Builtin& builtin, const Value& self, const Arguments& arguments) {
  const Nested nested(*this);
  GGUF_FUSE_CHECK(step());
  if (arguments.positional.size() + arguments.named.size() <= builtin.most) return builtin.run(*this, self, arguments);
  return failure("too many arguments for " + std::string(builtin.name));
}

Result<Value> Machine::call(const Value& callee, const Arguments& arguments) {
  if (const Undefined* const undefined = callee.get<Undefined>()) return undefined_failure(*this, *undefined);
  const Callable* const callable = callee.callable();
  if (callable == nullptr) return failure(std::string(kind_name(callee)) + " cannot be called");
  if (callable->builtin != nullptr) return call(*callable->builtin, callable->self, arguments);
  const Nested nested(*this);
  GGUF_FUSE_CHECK(step());
  return call_macro(*callable, arguments);
}

Result<Value> Machine::call_macro(const Callable& callable, const Arguments& arguments) {
  const int line = line_;
  Text text;
  Text* const before = std::exchange(out_, &text);
  Result<Flow> done = Flow::Next;
  {
    const InScope scope(*this, callable.scope);
    if (const auto bound = bind(callable, arguments); !bound) {
      done = fail(bound.error());
    } else {
      done = execute(callable.macro->bodies[0]);
    }
  }
  out_ = before;
  GGUF_FUSE_CHECK(done);
  line_ = line;
  return Value(std::move(text));
}

// Parameters, and what is given besides them as `varargs` and `kwargs` (`caller` also by its name).
Result<void> Machine::bind(const Callable& callable, const Arguments& arguments) {
  const Node& macro = *callable.macro;
  std::size_t position = 0;
  const auto is_parameter = [&macro](std::string_view name) {
    return std::any_of(macro.named.begin(), macro.named.end(), [name](const auto& one) { return one.first == name; });
  };
  for (const auto& [name, standard] : macro.named) {
    if (const Value* const given = arguments.get(position++, name)) {
      set_name(name, *given);
    } else if (standard != nullptr) {
      GGUF_FUSE_ASSIGN(Value value, evaluate(*standard));
      set_name(name, std::move(value));
    } else {
      set_name(name, Value(Undefined{name}));
    }
  }
  std::vector<Value> more;
  for (std::size_t i = macro.named.size(); i < arguments.positional.size(); ++i)
    more.push_back(arguments.positional[i]);
  GGUF_FUSE_ASSIGN(Value varargs, make_list(std::move(more), List::Kind::Tuple));
  set_name("varargs", std::move(varargs));
  GGUF_FUSE_CHECK(charge(sizeof(Dict) + arguments.named.size() * sizeof(Value)));
  Dict* const kwargs = heap_.dict();
  for (const auto& [name, value] : arguments.named) {
    if (is_parameter(name)) continue;
    if (name == "caller") {
      set_name(name, value);
    } else {
      kwargs->set(name, value);
    }
  }
  set_name("kwargs", Value(kwargs));
  return {};
}

}  // namespace gguf_fuse::jinja::detail
