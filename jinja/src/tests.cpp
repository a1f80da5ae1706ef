// SPDX-License-Identifier: MIT
#include <algorithm>

#include "characters.hpp"
#include "operators.hpp"

namespace gguf_fuse::jinja::detail {
namespace {

using Self = const Value&;
using Args = const Arguments&;

template <bool (*Holds)(const Value&)>
Result<Value> simple(Machine&, Self self, Args) {
  return Value(Holds(self));
}

bool is_defined(Self self) { return !self.is<Undefined>(); }
bool is_undefined(Self self) { return self.is<Undefined>(); }
bool is_none(Self self) { return self.is<None>(); }
bool is_string(Self self) { return self.text() != nullptr; }
bool is_number(Self self) { return number_of(self).has_value(); }
bool is_integer(Self self) { return self.is<std::int64_t>(); }
bool is_float(Self self) { return self.is<double>(); }
bool is_boolean(Self self) { return self.is<bool>(); }
bool is_yes(Self self) { return self.is<bool>() && is_true(self); }
bool is_no(Self self) { return self.is<bool>() && !is_true(self); }
bool is_callable(Self self) { return self.callable() != nullptr; }
bool is_mapping(Self self) { return self.dict() != nullptr && self.dict()->kind == Dict::Kind::Dict; }
bool is_iterable(Self self) {
  return is_string(self) || self.list() != nullptr || is_mapping(self) || is_undefined(self);
}
bool is_sequence(Self self) {
  return is_iterable(self) && (self.list() == nullptr || self.list()->kind != List::Kind::Generator);
}

template <bool (*Counts)(char), bool (*Refused)(char)>
bool in_case(Self self) {
  if (self.text() == nullptr) return false;
  const std::string& bytes = self.text()->bytes();
  return std::any_of(bytes.begin(), bytes.end(), Counts) && std::none_of(bytes.begin(), bytes.end(), Refused);
}

Result<const Value*> only_argument(Machine& machine, Args arguments) {
  if (arguments.positional.size() == 1) return &arguments.positional[0];
  return machine.failure("this test wants something to compare with");
}

Result<Value> divisible(Machine& machine, const Value& self, const Value& by, std::int64_t remainder) {
  GGUF_FUSE_ASSIGN(const Value rest, arithmetic(machine, "%", self, by));
  GGUF_FUSE_ASSIGN(const bool same, equal(machine, rest, Value(remainder)));
  return Value(same);
}

template <std::int64_t Remainder>
Result<Value> parity(Machine& machine, Self self, Args) {
  return divisible(machine, self, Value(std::int64_t{2}), Remainder);
}

Result<Value> divisibleby(Machine& machine, Self self, Args arguments) {
  GGUF_FUSE_ASSIGN(const Value* const by, only_argument(machine, arguments));
  return divisible(machine, self, *by, 0);
}

enum class Operator { Equal, Unequal, Less, LessOrEqual, Greater, GreaterOrEqual, In };

template <Operator Op>
Result<Value> compared(Machine& machine, Self self, Args arguments) {
  constexpr std::string_view kNames[] = {"==", "!=", "<", "<=", ">", ">=", "in"};
  GGUF_FUSE_ASSIGN(const Value* const other, only_argument(machine, arguments));
  GGUF_FUSE_ASSIGN(const bool found, compare(machine, kNames[static_cast<std::size_t>(Op)], self, *other));
  return Value(found);
}

Result<Value> sameas(Machine& machine, Self self, Args arguments) {
  GGUF_FUSE_ASSIGN(const Value* const other, only_argument(machine, arguments));
  if (self.list() != nullptr || self.dict() != nullptr) {
    return Value(self.list() == other->list() && self.dict() == other->dict());
  }
  if (kind_name(self) != kind_name(*other)) return Value(false);
  GGUF_FUSE_ASSIGN(const bool same, equal(machine, self, *other));
  return Value(same);
}

constexpr Builtin kTests[] = {{"boolean", 0, simple<is_boolean>},
                              {"callable", 0, simple<is_callable>},
                              {"defined", 0, simple<is_defined>},
                              {"divisibleby", 1, divisibleby},
                              {"eq", 1, compared<Operator::Equal>},
                              {"equalto", 1, compared<Operator::Equal>},
                              {"even", 0, parity<0>},
                              {"false", 0, simple<is_no>},
                              {"float", 0, simple<is_float>},
                              {"ge", 1, compared<Operator::GreaterOrEqual>},
                              {"greaterthan", 1, compared<Operator::Greater>},
                              {"gt", 1, compared<Operator::Greater>},
                              {"in", 1, compared<Operator::In>},
                              {"integer", 0, simple<is_integer>},
                              {"iterable", 0, simple<is_iterable>},
                              {"le", 1, compared<Operator::LessOrEqual>},
                              {"lessthan", 1, compared<Operator::Less>},
                              {"lower", 0, simple<in_case<is_lower, is_upper>>},
                              {"lt", 1, compared<Operator::Less>},
                              {"mapping", 0, simple<is_mapping>},
                              {"ne", 1, compared<Operator::Unequal>},
                              {"none", 0, simple<is_none>},
                              {"number", 0, simple<is_number>},
                              {"odd", 0, parity<1>},
                              {"sameas", 1, sameas},
                              {"sequence", 0, simple<is_sequence>},
                              {"string", 0, simple<is_string>},
                              {"true", 0, simple<is_yes>},
                              {"undefined", 0, simple<is_undefined>},
                              {"upper", 0, simple<in_case<is_upper, is_lower>>},
                              {"==", 1, compared<Operator::Equal>},
                              {"!=", 1, compared<Operator::Unequal>},
                              {"<", 1, compared<Operator::Less>},
                              {"<=", 1, compared<Operator::LessOrEqual>},
                              {">", 1, compared<Operator::Greater>},
                              {">=", 1, compared<Operator::GreaterOrEqual>}};

}  // namespace

const Builtin* find_test(std::string_view name) {
  for (const Builtin& test : kTests) {
    if (test.name == name) return &test;
  }
  return nullptr;
}

}  // namespace gguf_fuse::jinja::detail
