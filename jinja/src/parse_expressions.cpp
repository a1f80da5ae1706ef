// SPDX-License-Identifier: MIT
#include <algorithm>
#include <charconv>

#include "parser.hpp"

namespace gguf_fuse::jinja::detail {

// items: value, condition, other value (or null).
NodeResult Parser::expression() {
  const Level level(depth_);
  if (depth_ > kMostLevels) return unexpected("fewer expressions inside each other");
  GGUF_FUSE_ASSIGN(Node * value, or_expression());
  while (skip(TokenKind::Name, "if")) {
    Node* const node = add(NodeKind::Conditional);
    GGUF_FUSE_ASSIGN(Node* const condition, or_expression());
    node->items = {value, condition, nullptr};
    if (skip(TokenKind::Name, "else")) {
      GGUF_FUSE_ASSIGN(node->items[2], expression());
    }
    value = node;
  }
  return value;
}

// One expression, or a tuple of them without parentheses; without `conditions` an `if` is not part of it.
NodeResult Parser::expression_list(bool conditions) {
  const auto next = [&] { return conditions ? expression() : or_expression(); };
  GGUF_FUSE_ASSIGN(Node* const first, next());
  if (!is_operator(",")) return first;
  Node* const tuple = add(NodeKind::Tuple);
  tuple->items.push_back(first);
  while (skip(TokenKind::Operator, ",")) {
    if (token().kind == TokenKind::BlockEnd || token().kind == TokenKind::PrintEnd || is_operator(")")) break;
    GGUF_FUSE_ASSIGN(Node* const more, next());
    tuple->items.push_back(more);
  }
  return tuple;
}

// Operands of one precedence stand in one node, however many: operators[i] is between items i and i + 1.
NodeResult Parser::chain(NodeKind kind, NodeResult (Parser::*operand)(),
                         std::initializer_list<std::string_view> operators) {
  GGUF_FUSE_ASSIGN(Node* const first, (this->*operand)());
  Node* node = nullptr;
  for (;;) {
    const TokenKind spelled = kind == NodeKind::And || kind == NodeKind::Or ? TokenKind::Name : TokenKind::Operator;
    if (token().kind != spelled || std::find(operators.begin(), operators.end(), token().text) == operators.end()) {
      return node == nullptr ? first : node;
    }
    if (node == nullptr) {
      node = add(kind);
      node->items.push_back(first);
    }
    node->operators.push_back(token().text);
    advance();
    GGUF_FUSE_ASSIGN(Node* const more, (this->*operand)());
    node->items.push_back(more);
  }
}

NodeResult Parser::or_expression() { return chain(NodeKind::Or, &Parser::and_expression, {"or"}); }
NodeResult Parser::and_expression() { return chain(NodeKind::And, &Parser::not_expression, {"and"}); }
NodeResult Parser::sum() { return chain(NodeKind::Arithmetic, &Parser::concatenation, {"+", "-"}); }
NodeResult Parser::concatenation() { return chain(NodeKind::Concatenate, &Parser::product, {"~"}); }
NodeResult Parser::product() { return chain(NodeKind::Arithmetic, &Parser::power, {"*", "/", "//", "%"}); }

NodeResult Parser::power() {
  GGUF_FUSE_ASSIGN(Node* const first, unary(true));
  if (!is_operator("**")) return first;
  Node* const node = add(NodeKind::Arithmetic);
  node->items.push_back(first);
  while (skip(TokenKind::Operator, "**")) {
    node->operators.emplace_back("**");
    GGUF_FUSE_ASSIGN(Node* const more, unary(true));
    node->items.push_back(more);
  }
  return node;
}

NodeResult Parser::not_expression() {
  if (!is_word("not")) return comparison();
  const Level level(depth_);
  if (depth_ > kMostLevels) return unexpected("fewer expressions inside each other");
  Node* const node = add(NodeKind::Not);
  advance();
  GGUF_FUSE_ASSIGN(Node* const operand, not_expression());
  node->items.push_back(operand);
  return node;
}

NodeResult Parser::comparison() {
  GGUF_FUSE_ASSIGN(Node* const first, sum());
  Node* node = nullptr;
  for (;;) {
    constexpr std::string_view kOperators[] = {"==", "!=", "<", "<=", ">", ">="};
    std::string name;
    if (token().kind == TokenKind::Operator &&
        std::find(std::begin(kOperators), std::end(kOperators), token().text) != std::end(kOperators)) {
      name = token().text;
    } else if (is_word("in")) {
      name = "in";
    } else if (is_word("not") && next_token().kind == TokenKind::Name && next_token().text == "in") {
      name = "not in";
      advance();
    } else {
      return node == nullptr ? first : node;
    }
    if (node == nullptr) {
      node = add(NodeKind::Compare);
      node->items.push_back(first);
    }
    advance();
    node->operators.push_back(std::move(name));
    GGUF_FUSE_ASSIGN(Node* const more, sum());
    node->items.push_back(more);
  }
}

// name: "-" or "+".
NodeResult Parser::unary(bool with_filters) {
  Node* node = nullptr;
  if (is_operator("-") || is_operator("+")) {
    const Level level(depth_);
    if (depth_ > kMostLevels) return unexpected("fewer signs");
    node = add(NodeKind::Sign, token().text);
    advance();
    GGUF_FUSE_ASSIGN(Node* const operand, unary(false));
    node->items.push_back(operand);
  } else {
    GGUF_FUSE_ASSIGN(node, primary());
  }
  GGUF_FUSE_ASSIGN(node, postfix(node));
  return with_filters ? filters(node) : NodeResult(node);
}

NodeResult Parser::primary() {
  Node* node = nullptr;
  switch (token().kind) {
    case TokenKind::Name:
      return name_or_constant();
    case TokenKind::String: {
      node = add(NodeKind::Literal);
      std::string text;
      for (; token().kind == TokenKind::String; advance()) text += token().text;
      node->value = Value(std::move(text), Origin::Template);
      return node;
    }
    case TokenKind::Integer: {
      std::int64_t number = 0;
      const std::string& digits = token().text;
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
      if (error != std::errc()) return unexpected("a number below 2^63");
      node = add(NodeKind::Literal);
      node->value = Value(number);
      advance();
      return node;
    }
    case TokenKind::Float: {
      double number = 0;
      const std::string& digits = token().text;
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
      if (error != std::errc()) return unexpected("a number that a double holds");
      node = add(NodeKind::Literal);
      node->value = Value(number);
      advance();
      return node;
    }
    default:
      if (is_operator("(")) return parenthesis();
      if (is_operator("[")) return list_literal();
      if (is_operator("{")) return dict_literal();
      return unexpected("an expression");
  }
}

NodeResult Parser::name_or_constant() {
  Node* const node = add(NodeKind::Name, token().text);
  advance();
  const std::string& name = node->name;
  const bool yes = name == "true" || name == "True";
  if (yes || name == "false" || name == "False") {
    node->kind = NodeKind::Literal;
    node->value = Value(yes);
  } else if (name == "none" || name == "None") {
    node->kind = NodeKind::Literal;
    node->value = Value(None{});
  }
  return node;
}

NodeResult Parser::parenthesis() {
  advance();
  if (is_operator(")")) {
    Node* const tuple = add(NodeKind::Tuple);
    advance();
    return tuple;
  }
  GGUF_FUSE_ASSIGN(Node* const inner, expression_list(true));
  GGUF_FUSE_CHECK(expect(")"));
  return inner;
}

NodeResult Parser::list_literal() {
  Node* const node = add(NodeKind::List);
  advance();
  while (!is_operator("]")) {
    GGUF_FUSE_ASSIGN(Node* const item, expression());
    node->items.push_back(item);
    if (!skip(TokenKind::Operator, ",")) break;
  }
  GGUF_FUSE_CHECK(expect("]"));
  return node;
}

// items: keys, and behind each its value.
NodeResult Parser::dict_literal() {
  Node* const node = add(NodeKind::Dict);
  advance();
  while (!is_operator("}")) {
    GGUF_FUSE_ASSIGN(Node* const key, expression());
    GGUF_FUSE_CHECK(expect(":"));
    GGUF_FUSE_ASSIGN(Node* const value, expression());
    node->items.insert(node->items.end(), {key, value});
    if (!skip(TokenKind::Operator, ",")) break;
  }
  GGUF_FUSE_CHECK(expect("}"));
  return node;
}

}  // namespace gguf_fuse::jinja::detail
