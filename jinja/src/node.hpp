// SPDX-License-Identifier: MIT
#pragma once

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "gguf_fuse/jinja/template.hpp"

namespace gguf_fuse::jinja::detail {

enum class NodeKind : std::uint8_t {
  // statements
  Data,
  Print,
  If,
  For,
  Set,
  SetBlock,
  Macro,
  CallBlock,
  FilterBlock,
  Scope,
  Break,
  Continue,
  // expressions
  Literal,
  Name,
  List,
  Tuple,
  Dict,
  Attribute,
  Item,
  Slice,
  Call,
  Filter,
  Test,
  Not,
  Sign,
  Arithmetic,
  Concatenate,
  Compare,
  And,
  Or,
  Conditional
};

struct Node;
using Body = std::vector<const Node*>;

/// One node of any kind; which fields it uses stands with the parser's function that makes it.
struct Node {
  NodeKind kind;
  int line = 0;
  std::string name{};                                        ///< of a variable, attribute, filter, test or macro
  Value value{};                                             ///< of a literal
  std::vector<const Node*> items{};                          ///< operands, arguments, conditions; null: left out
  std::vector<std::string> operators{};                      ///< between the items
  std::vector<std::pair<std::string, const Node*>> named{};  ///< keyword arguments; parameters with their defaults
  std::vector<Body> bodies{};
};

}  // namespace gguf_fuse::jinja::detail

namespace gguf_fuse::jinja {

/// Nodes lie in one container and not in each other, so that no depth of nesting is a depth of destructors.
struct Template::Program {
  std::deque<Node> nodes;
  Body body;
};

}  // namespace gguf_fuse::jinja
