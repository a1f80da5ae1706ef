// SPDX-License-Identifier: MIT
#pragma once

#include "callable.hpp"
#include "node.hpp"

namespace gguf_fuse::jinja::detail {

/// Variables of one place. A loop's body has one a round, a macro's one a call.
struct Scope {
  Scope* parent = nullptr;
  std::vector<std::pair<std::string_view, Value>> names{};
  bool captured = false;  ///< a macro was made in it, which may need it later
};

/// One rendering. What builtins need of it is public.
class Machine {
 public:
  Machine(Heap& heap, const Dict& globals, Limits limits, std::time_t now)
      : heap_(heap), globals_(globals), limits_(limits), now_(now) {}

  [[nodiscard]] Result<Text> run(const Body& body);

  [[nodiscard]] Heap& heap() { return heap_; }
  [[nodiscard]] std::time_t now() const { return now_; }
  /// TemplateFailed at the line that is being rendered.
  [[nodiscard]] tl::unexpected<Error> failure(std::string what) const;
  /// Before work in proportion to `count`. Errors: TemplateLimit.
  [[nodiscard]] Result<void> step(std::uint64_t count = 1);
  /// Before anything is made. Errors: TemplateLimit.
  [[nodiscard]] Result<void> charge(std::uint64_t bytes);
  /// A list, charged.
  [[nodiscard]] Result<Value> make_list(std::vector<Value> items, List::Kind kind = List::Kind::List);
  [[nodiscard]] Result<Value> call(const Value& callee, const Arguments& arguments);
  [[nodiscard]] Result<Value> call(const Builtin& builtin, const Value& self, const Arguments& arguments);

  /// One level of recursion, also of the builtins'.
  class Nested {
   public:
    explicit Nested(Machine& machine) : machine_(machine) { ++machine_.depth_; }
    Nested(const Nested&) = delete;
    Nested& operator=(const Nested&) = delete;
    ~Nested() { --machine_.depth_; }

   private:
    Machine& machine_;
  };

 private:
  enum class Flow : std::uint8_t { Next, Break, Continue };
  using FlowResult = Result<Flow>;

  // execute.cpp
  FlowResult execute(const Body& body);
  FlowResult execute(const Node& node);
  FlowResult execute_if(const Node& node);
  FlowResult execute_for(const Node& node);
  FlowResult execute_rounds(const Node& node, const std::vector<Value>& items);
  FlowResult execute_scope(const Node& node);
  Result<std::vector<Value>> iterated(const Node& node);
  Result<void> execute_set(const Node& node);
  Result<void> execute_call_block(const Node& node);
  Result<void> assign(const Node& target, Value value);
  void set_name(std::string_view name, Value value);
  Result<void> print(const Value& value);
  Result<Text> captured(const Body& body);
  Result<Value> call_macro(const Callable& callable, const Arguments& arguments);
  Result<void> bind(const Callable& callable, const Arguments& arguments);

  // evaluate.cpp
  Result<Value> evaluate(const Node& node);
  Result<Value> evaluate_name(const Node& node);
  Result<Value> evaluate_dict(const Node& node);
  Result<Value> evaluate_item(const Node& node);
  Result<Value> evaluate_slice(const Value& base, const Node& slice);
  Result<Value> evaluate_call(const Node& node, const Value* caller = nullptr);
  Result<Value> evaluate_filter(const Node& node, const Value* block = nullptr);
  Result<Value> evaluate_test(const Node& node);
  Result<Value> evaluate_chain(const Node& node);
  Result<Value> evaluate_concatenation(const Node& node);
  Result<Value> evaluate_comparison(const Node& node);
  Result<Value> evaluate_logic(const Node& node);
  Result<Value> evaluate_conditional(const Node& node);
  Result<std::vector<Value>> evaluate_all(const Node& node, std::size_t first);
  Result<Arguments> evaluate_arguments(const Node& node);
  Result<bool> holds(const Node& condition);

  class InScope;

  Heap& heap_;
  const Dict& globals_;
  Limits limits_;
  std::time_t now_;
  std::deque<Scope> scopes_;
  Scope* scope_ = nullptr;
  Text* out_ = nullptr;
  int line_ = 0;
  unsigned depth_ = 0;
  std::uint64_t steps_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace gguf_fuse::jinja::detail
