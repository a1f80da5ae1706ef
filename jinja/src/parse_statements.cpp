// SPDX-License-Identifier: MIT
#include <algorithm>

#include "parser.hpp"

namespace gguf_fuse::jinja::detail {

Result<void> Parser::run() {
  GGUF_FUSE_ASSIGN(program_.body, body({}));
  return {};
}

bool Parser::skip(TokenKind kind, std::string_view text) {
  if (!is(kind, text)) return false;
  advance();
  return true;
}

tl::unexpected<Error> Parser::unexpected(std::string_view wanted) const {
  const auto describe = [](const Token& found) -> std::string {
    switch (found.kind) {
      case TokenKind::BlockEnd:
      case TokenKind::PrintEnd:
        return "the end of the tag";
      case TokenKind::End:
        return "the end of the template";
      default:
        return '"' + escape_text(found.text) + '"';
    }
  };
  Error error = syntax_error(token().line, describe(token()));
  error.expected = wanted;
  return fail(std::move(error));
}

Result<void> Parser::expect(std::string_view text) {
  if (skip(TokenKind::Operator, text)) return {};
  return unexpected('"' + std::string(text) + '"');
}

Result<std::string> Parser::expect_name() {
  if (token().kind != TokenKind::Name) return unexpected("a name");
  std::string name = token().text;
  advance();
  return name;
}

Result<void> Parser::end_block() {
  if (token().kind != TokenKind::BlockEnd) return unexpected("the end of the tag");
  advance();
  return {};
}

Result<void> Parser::end_statement(std::string_view name) {
  advance();  // past the begin of the tag, which body() stopped at
  if (!is_word(name)) return unexpected(name);
  advance();
  return end_block();
}

// Stops before the tag whose first word is one of `ends`, at the end of the template when there are none.
Result<Body> Parser::body(std::initializer_list<std::string_view> ends) {
  const Level level(depth_);
  if (depth_ > kMostLevels) return unexpected("fewer statements inside each other");
  Body nodes;
  for (;;) {
    switch (token().kind) {
      case TokenKind::End:
        if (ends.size() != 0) return unexpected(*ends.begin());
        return nodes;
      case TokenKind::Data: {
        Node* const data = add(NodeKind::Data);
        data->value = Value(token().text, Origin::Template);
        nodes.push_back(data);
        advance();
        break;
      }
      case TokenKind::PrintBegin: {
        advance();
        Node* const print = add(NodeKind::Print);
        GGUF_FUSE_ASSIGN(Node* const printed, expression_list(true));
        print->items.push_back(printed);
        if (token().kind != TokenKind::PrintEnd) return unexpected("the end of the tag");
        advance();
        nodes.push_back(print);
        break;
      }
      default: {
        if (std::find(ends.begin(), ends.end(), next_token().text) != ends.end()) return nodes;
        advance();
        GGUF_FUSE_ASSIGN(Node* const node, statement());
        nodes.push_back(node);
      }
    }
  }
}

NodeResult Parser::statement() {
  struct Row {
    std::string_view word;
    NodeResult (Parser::*parse)();
  };
  constexpr Row kRows[] = {{"if", &Parser::if_statement},     {"for", &Parser::for_statement},
                           {"set", &Parser::set_statement},   {"macro", &Parser::macro_statement},
                           {"call", &Parser::call_statement}, {"filter", &Parser::filter_statement},
                           {"with", &Parser::with_statement}, {"generation", &Parser::generation_statement}};
  if (is_word("break")) return loop_control(NodeKind::Break);
  if (is_word("continue")) return loop_control(NodeKind::Continue);
  for (const Row& row : kRows) {
    if (is_word(row.word)) return (this->*row.parse)();
  }
  return unexpected("a statement that chat templates have");
}

// items: the conditions; bodies: one for each, and that of else.
NodeResult Parser::if_statement() {
  Node* const node = add(NodeKind::If);
  do {
    advance();
    GGUF_FUSE_ASSIGN(Node* const condition, expression_list(false));
    node->items.push_back(condition);
    GGUF_FUSE_CHECK(end_block());
    GGUF_FUSE_ASSIGN(Body then, body({"endif", "elif", "else"}));
    node->bodies.push_back(std::move(then));
    if (next_token().text == "elif") advance();
  } while (is_word("elif"));
  if (next_token().text == "else") {
    GGUF_FUSE_CHECK(end_statement("else"));
    GGUF_FUSE_ASSIGN(Body otherwise, body({"endif"}));
    node->bodies.push_back(std::move(otherwise));
  }
  GGUF_FUSE_CHECK(end_statement("endif"));
  return node;
}

// items: target, what is iterated, the filter (or null); bodies: of the loop, and of else.
NodeResult Parser::for_statement() {
  Node* const node = add(NodeKind::For);
  advance();
  GGUF_FUSE_ASSIGN(Node* const names, target(true));
  if (!skip(TokenKind::Name, "in")) return unexpected("in");
  GGUF_FUSE_ASSIGN(Node* const iterated, expression_list(false));
  node->items = {names, iterated, nullptr};
  if (skip(TokenKind::Name, "if")) {
    GGUF_FUSE_ASSIGN(node->items[2], expression());
  }
  GGUF_FUSE_CHECK(end_block());
  ++loops_;
  auto repeated = body({"endfor", "else"});
  --loops_;
  GGUF_FUSE_CHECK(repeated);
  node->bodies.push_back(std::move(*repeated));
  if (next_token().text == "else") {
    GGUF_FUSE_CHECK(end_statement("else"));
    GGUF_FUSE_ASSIGN(Body otherwise, body({"endfor"}));
    node->bodies.push_back(std::move(otherwise));
  }
  GGUF_FUSE_CHECK(end_statement("endfor"));
  return node;
}

NodeResult Parser::loop_control(NodeKind kind) {
  if (loops_ == 0) return unexpected("a for statement around it");
  Node* const node = add(kind);
  advance();
  GGUF_FUSE_CHECK(end_block());
  return node;
}

// A name, an attribute of a namespace (name: the attribute's, items: the namespace), or a tuple of targets.
NodeResult Parser::target(bool tuples) {
  const Level level(depth_);
  if (depth_ > kMostLevels) return unexpected("fewer parentheses inside each other");
  Node* first = nullptr;
  if (skip(TokenKind::Operator, "(")) {
    GGUF_FUSE_ASSIGN(first, target(true));
    GGUF_FUSE_CHECK(expect(")"));
  } else {
    GGUF_FUSE_ASSIGN(const std::string name, expect_name());
    first = add(NodeKind::Name, name);
    if (skip(TokenKind::Operator, ".")) {
      GGUF_FUSE_ASSIGN(const std::string attribute, expect_name());
      Node* const node = add(NodeKind::Attribute, attribute);
      node->items.push_back(first);
      first = node;
    }
  }
  if (!tuples || !is_operator(",")) return first;
  Node* const tuple = add(NodeKind::Tuple);
  tuple->items.push_back(first);
  while (skip(TokenKind::Operator, ",")) {
    if (token().kind != TokenKind::Name && !is_operator("(")) break;
    GGUF_FUSE_ASSIGN(Node* const more, target(false));
    tuple->items.push_back(more);
  }
  return tuple;
}

// items: the target, and the value or (SetBlock, with a body) the filters on a null.
NodeResult Parser::set_statement() {
  advance();
  Node* const node = add(NodeKind::Set);
  GGUF_FUSE_ASSIGN(Node* const assigned, target(true));
  node->items.push_back(assigned);
  if (skip(TokenKind::Operator, "=")) {
    GGUF_FUSE_ASSIGN(Node* const value, expression_list(true));
    node->items.push_back(value);
    GGUF_FUSE_CHECK(end_block());
    return node;
  }
  node->kind = NodeKind::SetBlock;
  GGUF_FUSE_ASSIGN(Node* const filtered, filters(nullptr));
  node->items.push_back(filtered);
  GGUF_FUSE_CHECK(end_block());
  GGUF_FUSE_ASSIGN(Body block, body({"endset"}));
  node->bodies.push_back(std::move(block));
  GGUF_FUSE_CHECK(end_statement("endset"));
  return node;
}

Result<void> Parser::parameters(Node& macro) {
  GGUF_FUSE_CHECK(expect("("));
  while (!is_operator(")")) {
    GGUF_FUSE_ASSIGN(const std::string name, expect_name());
    const Node* value = nullptr;
    if (skip(TokenKind::Operator, "=")) {
      GGUF_FUSE_ASSIGN(value, expression());
    }
    macro.named.emplace_back(name, value);
    if (!skip(TokenKind::Operator, ",")) break;
  }
  return expect(")");
}

// The rest of the opening tag, the body, which is in none of the loops around it, and the closing tag.
Result<void> Parser::callable_body(Node& node, std::string_view end) {
  GGUF_FUSE_CHECK(end_block());
  const unsigned around = std::exchange(loops_, 0);
  auto block = body({end});
  loops_ = around;
  GGUF_FUSE_CHECK(block);
  node.bodies.push_back(std::move(*block));
  return end_statement(end);
}

// named: the parameters, null where they have no default.
NodeResult Parser::macro_statement() {
  Node* const node = add(NodeKind::Macro);
  advance();
  GGUF_FUSE_ASSIGN(node->name, expect_name());
  GGUF_FUSE_CHECK(parameters(*node));
  GGUF_FUSE_CHECK(callable_body(*node, "endmacro"));
  return node;
}

// items: the call; named: the parameters of the body.
NodeResult Parser::call_statement() {
  Node* const node = add(NodeKind::CallBlock, "caller");
  advance();
  if (is_operator("(")) GGUF_FUSE_CHECK(parameters(*node));
  GGUF_FUSE_ASSIGN(Node* const call, unary(true));
  if (call->kind != NodeKind::Call) return unexpected("a call");
  node->items.push_back(call);
  GGUF_FUSE_CHECK(callable_body(*node, "endcall"));
  return node;
}

// items: the filters on a null.
NodeResult Parser::filter_statement() {
  advance();
  Node* const node = add(NodeKind::FilterBlock);
  GGUF_FUSE_ASSIGN(Node* const first, filter(nullptr));
  GGUF_FUSE_ASSIGN(Node* const filtered, filters(first));
  node->items.push_back(filtered);
  GGUF_FUSE_CHECK(end_block());
  GGUF_FUSE_ASSIGN(Body block, body({"endfilter"}));
  node->bodies.push_back(std::move(block));
  GGUF_FUSE_CHECK(end_statement("endfilter"));
  return node;
}

// items: targets, and behind each its value.
NodeResult Parser::with_statement() {
  Node* const node = add(NodeKind::Scope);
  advance();
  while (token().kind != TokenKind::BlockEnd) {
    GGUF_FUSE_ASSIGN(Node* const assigned, target(false));
    GGUF_FUSE_CHECK(expect("="));
    GGUF_FUSE_ASSIGN(Node* const value, expression());
    node->items.insert(node->items.end(), {assigned, value});
    if (!skip(TokenKind::Operator, ",")) break;
  }
  GGUF_FUSE_CHECK(end_block());
  GGUF_FUSE_ASSIGN(Body block, body({"endwith"}));
  node->bodies.push_back(std::move(block));
  GGUF_FUSE_CHECK(end_statement("endwith"));
  return node;
}

// What transformers marks for training; it changes no text.
NodeResult Parser::generation_statement() {
  Node* const node = add(NodeKind::Scope);
  advance();
  GGUF_FUSE_CHECK(end_block());
  GGUF_FUSE_ASSIGN(Body block, body({"endgeneration"}));
  node->bodies.push_back(std::move(block));
  GGUF_FUSE_CHECK(end_statement("endgeneration"));
  return node;
}

}  // namespace gguf_fuse::jinja::detail
