// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <span>

#include "lexer.hpp"
#include "node.hpp"

namespace gguf_fuse::jinja::detail {

using NodeResult = Result<Node*>;

/// The grammar of Jinja2's template designer documentation, by recursive descent.
class Parser {
 public:
  Parser(std::vector<Token> tokens, Template::Program& program) : tokens_(std::move(tokens)), program_(program) {}

  /// The whole template. Errors: TemplateSyntax.
  [[nodiscard]] Result<void> run();

 private:
  // statements
  Result<Body> body(std::initializer_list<std::string_view> ends);
  NodeResult statement();
  NodeResult if_statement();
  NodeResult for_statement();
  NodeResult set_statement();
  NodeResult macro_statement();
  NodeResult call_statement();
  NodeResult filter_statement();
  NodeResult with_statement();
  NodeResult generation_statement();
  NodeResult loop_control(NodeKind kind);
  Result<void> parameters(Node& macro);
  Result<void> callable_body(Node& node, std::string_view end);
  NodeResult target(bool tuples);
  Result<void> end_block();
  Result<void> end_statement(std::string_view name);

  // expressions
  NodeResult expression();
  NodeResult expression_list(bool conditions);
  NodeResult or_expression();
  NodeResult and_expression();
  NodeResult not_expression();
  NodeResult comparison();
  NodeResult sum();
  NodeResult concatenation();
  NodeResult product();
  NodeResult power();
  NodeResult chain(NodeKind kind, NodeResult (Parser::*operand)(), std::initializer_list<std::string_view> operators);
  NodeResult unary(bool with_filters);
  NodeResult primary();
  NodeResult name_or_constant();
  NodeResult parenthesis();
  NodeResult list_literal();
  NodeResult dict_literal();
  NodeResult postfix(Node* node);
  NodeResult dotted(Node* node);
  NodeResult subscript(Node* node);
  NodeResult subscribed();
  NodeResult filters(Node* node);
  NodeResult filter(Node* node);
  NodeResult test(Node* node);
  Result<void> arguments(Node& call);
  [[nodiscard]] bool begins_test_argument() const;

  // tokens
  [[nodiscard]] const Token& token() const { return tokens_[at_]; }
  [[nodiscard]] const Token& next_token() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  void advance() { at_ = std::min(at_ + 1, tokens_.size() - 1); }
  [[nodiscard]] bool is(TokenKind kind, std::string_view text) const {
    return token().kind == kind && token().text == text;
  }
  [[nodiscard]] bool is_operator(std::string_view text) const { return is(TokenKind::Operator, text); }
  [[nodiscard]] bool is_word(std::string_view text) const { return is(TokenKind::Name, text); }
  bool skip(TokenKind kind, std::string_view text);
  Result<void> expect(std::string_view text);
  Result<std::string> expect_name();
  [[nodiscard]] tl::unexpected<Error> unexpected(std::string_view wanted) const;

  Node* add(NodeKind kind, std::string name = {}) {
    return &program_.nodes.emplace_back(Node{.kind = kind, .line = token().line, .name = std::move(name)});
  }

  std::vector<Token> tokens_;
  Template::Program& program_;
  std::size_t at_ = 0;
  unsigned depth_ = 0;
  unsigned loops_ = 0;  // for statements around this place
};

/// Counts the levels of recursion, which the template's text decides.
class Level {
 public:
  explicit Level(unsigned& depth) : depth_(depth) { ++depth_; }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;
  ~Level() { --depth_; }

 private:
  unsigned& depth_;
};
inline constexpr unsigned kMostLevels = 120;

}  // namespace gguf_fuse::jinja::detail
