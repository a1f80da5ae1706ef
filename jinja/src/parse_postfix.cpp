// SPDX-License-Identifier: MIT
#include <algorithm>
#include <charconv>

#include "parser.hpp"

namespace gguf_fuse::jinja::detail {

NodeResult Parser::postfix(Node* node) {
  for (;;) {
    if (is_operator(".")) {
      GGUF_FUSE_ASSIGN(node, dotted(node));
    } else if (is_operator("[")) {
      GGUF_FUSE_ASSIGN(node, subscript(node));
    } else if (is_operator("(")) {
      Node* const call = add(NodeKind::Call);
      call->items.push_back(node);
      GGUF_FUSE_CHECK(arguments(*call));
      node = call;
    } else {
      return node;
    }
  }
}

NodeResult Parser::dotted(Node* node) {
  advance();
  Node* inner = nullptr;
  if (token().kind == TokenKind::Integer) {
    inner = add(NodeKind::Item);
    GGUF_FUSE_ASSIGN(Node* const index, primary());
    inner->items = {node, index};
    return inner;
  }
  inner = add(NodeKind::Attribute, token().text);
  GGUF_FUSE_CHECK(expect_name());
  inner->items.push_back(node);
  return inner;
}

NodeResult Parser::subscript(Node* node) {
  Node* const item = add(NodeKind::Item);
  advance();
  GGUF_FUSE_ASSIGN(Node* const index, subscribed());
  item->items = {node, index};
  GGUF_FUSE_CHECK(expect("]"));
  return item;
}

// An expression, or a slice: items are its begin, end and step, null where left out.
NodeResult Parser::subscribed() {
  Node* first = nullptr;
  if (!is_operator(":")) {
    GGUF_FUSE_ASSIGN(first, expression());
    if (!is_operator(":")) return first;
  }
  Node* const slice = add(NodeKind::Slice);
  slice->items = {first, nullptr, nullptr};
  for (std::size_t i = 1; i < 3 && skip(TokenKind::Operator, ":"); ++i) {
    if (is_operator(":") || is_operator("]")) continue;
    GGUF_FUSE_ASSIGN(slice->items[i], expression());
  }
  return slice;
}

// Behind the callee (or the filtered) in items: the positional ones.
Result<void> Parser::arguments(Node& call) {
  GGUF_FUSE_CHECK(expect("("));
  while (!is_operator(")")) {
    if (token().kind == TokenKind::Name && next_token().kind == TokenKind::Operator && next_token().text == "=") {
      GGUF_FUSE_ASSIGN(std::string name, expect_name());
      advance();
      GGUF_FUSE_ASSIGN(Node* const value, expression());
      call.named.emplace_back(std::move(name), value);
    } else {
      if (!call.named.empty()) return unexpected("a keyword argument");
      GGUF_FUSE_ASSIGN(Node* const value, expression());
      call.items.push_back(value);
    }
    if (!skip(TokenKind::Operator, ",")) break;
  }
  return expect(")");
}

// `node` is null where a block takes its place.
NodeResult Parser::filters(Node* node) {
  for (;;) {
    if (skip(TokenKind::Operator, "|")) {
      GGUF_FUSE_ASSIGN(node, filter(node));
    } else if (node != nullptr && is_word("is")) {
      GGUF_FUSE_ASSIGN(node, test(node));
    } else if (node != nullptr && is_operator("(")) {
      GGUF_FUSE_ASSIGN(node, postfix(node));
    } else {
      return node;
    }
  }
}

NodeResult Parser::filter(Node* node) {
  Node* const applied = add(NodeKind::Filter, token().text);
  GGUF_FUSE_CHECK(expect_name());
  applied->items.push_back(node);
  if (is_operator("(")) GGUF_FUSE_CHECK(arguments(*applied));
  return applied;
}

bool Parser::begins_test_argument() const {
  switch (token().kind) {
    case TokenKind::String:
    case TokenKind::Integer:
    case TokenKind::Float:
      return true;
    case TokenKind::Name:
      return !is_word("else") && !is_word("or") && !is_word("and") && !is_word("is") && !is_word("if") &&
             !is_word("in") && !is_word("not");
    default:
      return is_operator("[") || is_operator("{");
  }
}

NodeResult Parser::test(Node* node) {
  advance();
  Node* const negation = is_word("not") ? add(NodeKind::Not) : nullptr;
  if (negation != nullptr) advance();
  Node* const applied = add(NodeKind::Test, token().text);
  GGUF_FUSE_CHECK(expect_name());
  applied->items.push_back(node);
  if (is_operator("(")) {
    GGUF_FUSE_CHECK(arguments(*applied));
  } else if (begins_test_argument()) {
    GGUF_FUSE_ASSIGN(Node * argument, primary());
    GGUF_FUSE_ASSIGN(argument, postfix(argument));
    applied->items.push_back(argument);
  }
  if (negation == nullptr) return applied;
  negation->items.push_back(applied);
  return negation;
}

}  // namespace gguf_fuse::jinja::detail
