// SPDX-License-Identifier: MIT
#include "operators.hpp"

#include <cmath>

#include "characters.hpp"
#include "represent.hpp"

namespace gguf_fuse::jinja::detail {
namespace {

Result<Value> floored_division(Machine& machine, std::string_view op, std::int64_t left, std::int64_t right) {
  if (right == 0) return machine.failure("a division by zero");
  if (right == -1) {
    std::int64_t negated = 0;
    if (op == "%") return Value(std::int64_t{0});
    if (__builtin_sub_overflow(std::int64_t{0}, left, &negated)) return machine.failure("a number beyond 64 bits");
    return Value(negated);
  }
  const std::int64_t remainder = left % right;
  const bool down = remainder != 0 && (remainder < 0) != (right < 0);
  return Value(op == "%" ? remainder + (down ? right : 0) : left / right - (down ? 1 : 0));
}

Result<Value> integer_power(Machine& machine, std::int64_t base, std::int64_t exponent) {
  std::int64_t result = 1;
  for (std::int64_t i = 0; i < exponent; ++i) {
    GGUF_FUSE_CHECK(machine.step());
    if (__builtin_mul_overflow(result, base, &result)) return machine.failure("a number beyond 64 bits");
  }
  return Value(result);
}

Result<Value> integer_arithmetic(Machine& machine, std::string_view op, std::int64_t left, std::int64_t right) {
  std::int64_t result = 0;
  bool overflow = false;
  if (op == "+") {
    overflow = __builtin_add_overflow(left, right, &result);
  } else if (op == "-") {
    overflow = __builtin_sub_overflow(left, right, &result);
  } else if (op == "*") {
    overflow = __builtin_mul_overflow(left, right, &result);
  } else {
    return floored_division(machine, op, left, right);
  }
  if (overflow) return machine.failure("a number beyond 64 bits");
  return Value(result);
}

Result<Value> float_arithmetic(Machine& machine, std::string_view op, double left, double right) {
  if (op == "+") return Value(left + right);
  if (op == "-") return Value(left - right);
  if (op == "*") return Value(left * right);
  if (op == "**") return Value(std::pow(left, right));
  if (right == 0) return machine.failure("a division by zero");
  if (op == "/") return Value(left / right);
  double remainder = std::fmod(left, right);
  if (remainder != 0 && (remainder < 0) != (right < 0)) remainder += right;
  return op == "%" ? Value(remainder) : Value(std::floor((left - remainder) / right + 0.5));
}

// A text or a list, several times.
Result<Value> repeated(Machine& machine, const Value& value, std::int64_t times) {
  const auto count = static_cast<std::uint64_t>(std::max<std::int64_t>(times, 0));
  const Text* const text = value.text();
  const std::uint64_t size = text != nullptr ? text->size() : value.list()->items.size() * sizeof(Value);
  std::uint64_t bytes = 0;
  if (__builtin_mul_overflow(size, count, &bytes)) bytes = UINT64_MAX;
  GGUF_FUSE_CHECK(machine.charge(bytes));
  if (text != nullptr) {
    Text result;
    for (std::uint64_t i = 0; size > 0 && i < count; ++i) result.append(*text);
    return Value(std::move(result));
  }
  std::vector<Value> items;
  const std::vector<Value>& part = value.list()->items;
  for (std::uint64_t i = 0; size > 0 && i < count; ++i) items.insert(items.end(), part.begin(), part.end());
  return machine.make_list(std::move(items), value.list()->kind);
}

Result<Value> joined(Machine& machine, const Value& left, const Value& right) {
  if (left.text() != nullptr && right.text() != nullptr) {
    GGUF_FUSE_CHECK(machine.charge(left.text()->size() + right.text()->size()));
    Text text = *left.text();
    text.append(*right.text());
    return Value(std::move(text));
  }
  std::vector<Value> items = left.list()->items;
  items.insert(items.end(), right.list()->items.begin(), right.list()->items.end());
  return machine.make_list(std::move(items), left.list()->kind);
}

bool is_sequence(const Value& value) { return value.text() != nullptr || value.list() != nullptr; }

}  // namespace

bool is_true(const Value& value) {
  if (value.is<Undefined>() || value.is<None>()) return false;
  if (const auto number = number_of(value)) return *number != 0;
  if (const Text* const text = value.text()) return text->size() > 0;
  if (const List* const list = value.list()) return list->kind == List::Kind::Generator || !list->items.empty();
  if (const Dict* const dict = value.dict()) return dict->kind != Dict::Kind::Dict || !dict->entries.empty();
  return true;
}

std::optional<std::int64_t> integer_of(const Value& value) {
  if (const bool* const flag = value.get<bool>()) return *flag ? 1 : 0;
  if (const std::int64_t* const number = value.get<std::int64_t>()) return *number;
  return std::nullopt;
}

std::optional<double> number_of(const Value& value) {
  if (const double* const number = value.get<double>()) return *number;
  if (const auto number = integer_of(value)) return static_cast<double>(*number);
  return std::nullopt;
}

std::string_view kind_name(const Value& value) {
  if (value.is<Undefined>()) return "an undefined value";
  if (value.is<None>()) return "none";
  if (value.is<bool>()) return "a boolean";
  if (value.is<std::int64_t>()) return "an integer";
  if (value.is<double>()) return "a float";
  if (value.text() != nullptr) return "a string";
  if (value.list() != nullptr) return "a list";
  if (value.dict() != nullptr) return "a dict";
  return "a function";
}

tl::unexpected<Error> undefined_failure(const Machine& machine, const Undefined& value) {
  return machine.failure(value.name.empty() ? "what it takes is undefined"
                                            : '"' + escape_text(value.name) + "\" is undefined");
}

Result<Value> arithmetic(Machine& machine, std::string_view op, const Value& left, const Value& right) {
  if (op == "%" && left.text() != nullptr) {
    const bool tuple = right.list() != nullptr && right.list()->kind == List::Kind::Tuple;
    return percent_format(machine, *left.text(), tuple ? right.list()->items : std::vector<Value>{right});
  }
  const auto a = integer_of(left);
  const auto b = integer_of(right);
  if (a && b && op != "/" && !(op == "**" && *b < 0)) {
    return op == "**" ? integer_power(machine, *a, *b) : integer_arithmetic(machine, op, *a, *b);
  }
  const auto x = number_of(left);
  const auto y = number_of(right);
  if (x && y) return float_arithmetic(machine, op, *x, *y);
  if (op == "*" && is_sequence(left) && b) return repeated(machine, left, *b);
  if (op == "*" && is_sequence(right) && a) return repeated(machine, right, *a);
  if (op == "+" && ((left.text() != nullptr && right.text() != nullptr) ||
                    (left.list() != nullptr && right.list() != nullptr && left.list()->kind == right.list()->kind))) {
    return joined(machine, left, right);
  }
  for (const Value* const side : {&left, &right}) {
    if (const Undefined* const undefined = side->get<Undefined>()) return undefined_failure(machine, *undefined);
  }
  return machine.failure('"' + std::string(op) + "\" between " + std::string(kind_name(left)) + " and " +
                         std::string(kind_name(right)));
}

Result<bool> equal(Machine& machine, const Value& left, const Value& right) {
  const Machine::Nested nested(machine);
  GGUF_FUSE_CHECK(machine.step());
  if (left.text() != nullptr && right.text() != nullptr) return left.text()->bytes() == right.text()->bytes();
  if (const auto a = integer_of(left), b = integer_of(right); a && b) return *a == *b;
  if (const auto a = number_of(left), b = number_of(right); a && b) return *a == *b;
  if (left.is<None>() || left.is<Undefined>()) {
    return left.is<None>() ? right.is<None>() : right.is<Undefined>();
  }
  if (const List* const a = left.list(), * const b = right.list(); a != nullptr && b != nullptr && a != b) {
    if (a->kind != b->kind || a->items.size() != b->items.size()) return false;
    for (std::size_t i = 0; i < a->items.size(); ++i) {
      GGUF_FUSE_ASSIGN(const bool same, equal(machine, a->items[i], b->items[i]));
      if (!same) return false;
    }
    return true;
  }
  if (const Dict* const a = left.dict(), * const b = right.dict();
      a != nullptr && b != nullptr && a != b && a->kind == Dict::Kind::Dict && b->kind == Dict::Kind::Dict) {
    if (a->entries.size() != b->entries.size()) return false;
    for (const auto& [key, value] : a->entries) {
      GGUF_FUSE_ASSIGN(const Value* const other, find_entry(machine, *b, key));
      if (other == nullptr) return false;
      GGUF_FUSE_ASSIGN(const bool same, equal(machine, value, *other));
      if (!same) return false;
    }
    return true;
  }
  return (left.list() != nullptr && left.list() == right.list()) ||
         (left.dict() != nullptr && left.dict() == right.dict()) ||
         (left.callable() != nullptr && left.callable() == right.callable());
}

Result<int> order(Machine& machine, const Value& left, const Value& right) {
  const Machine::Nested nested(machine);
  GGUF_FUSE_CHECK(machine.step());
  const auto sign = [](const auto& a, const auto& b) { return a < b ? -1 : b < a ? 1 : 0; };
  if (left.text() != nullptr && right.text() != nullptr) {
    return sign(left.text()->bytes(), right.text()->bytes());  // UTF-8 has the order of its code points
  }
  if (const auto a = integer_of(left), b = integer_of(right); a && b) return sign(*a, *b);
  if (const auto a = number_of(left), b = number_of(right); a && b) return sign(*a, *b);
  if (const List* const a = left.list(), * const b = right.list(); a != nullptr && b != nullptr) {
    for (std::size_t i = 0; i < std::min(a->items.size(), b->items.size()); ++i) {
      GGUF_FUSE_ASSIGN(const bool same, equal(machine, a->items[i], b->items[i]));
      if (!same) return order(machine, a->items[i], b->items[i]);
    }
    return sign(a->items.size(), b->items.size());
  }
  for (const Value* const side : {&left, &right}) {
    if (const Undefined* const undefined = side->get<Undefined>()) return undefined_failure(machine, *undefined);
  }
  return machine.failure("no order between " + std::string(kind_name(left)) + " and " + std::string(kind_name(right)));
}

namespace {

Result<bool> contains(Machine& machine, const Value& container, const Value& value) {
  if (container.is<Undefined>()) return false;
  if (const Text* const text = container.text()) {
    if (value.text() == nullptr) return machine.failure("only strings are in strings");
    GGUF_FUSE_CHECK(machine.step(text->size() / 64));
    return text->bytes().find(value.text()->bytes()) != std::string::npos;
  }
  if (const Dict* const dict = container.dict(); dict != nullptr && dict->kind == Dict::Kind::Dict) {
    GGUF_FUSE_ASSIGN(const Value* const found, find_entry(machine, *dict, value));
    return found != nullptr;
  }
  if (const List* const list = container.list()) {
    for (const Value& item : list->items) {
      GGUF_FUSE_ASSIGN(const bool same, equal(machine, item, value));
      if (same) return true;
    }
    return false;
  }
  return machine.failure("nothing is in " + std::string(kind_name(container)));
}

}  // namespace

Result<bool> compare(Machine& machine, std::string_view op, const Value& left, const Value& right) {
  if (op == "==" || op == "!=") {
    GGUF_FUSE_ASSIGN(const bool same, equal(machine, left, right));
    return same == (op == "==");
  }
  if (op == "in" || op == "not in") {
    GGUF_FUSE_ASSIGN(const bool found, contains(machine, right, left));
    return found == (op == "in");
  }
  const auto x = number_of(left);
  const auto y = number_of(right);
  if (x && y && (std::isnan(*x) || std::isnan(*y))) return false;
  GGUF_FUSE_ASSIGN(const int sign, order(machine, left, right));
  if (op == "<") return sign < 0;
  if (op == "<=") return sign <= 0;
  return op == ">" ? sign > 0 : sign >= 0;
}

}  // namespace gguf_fuse::jinja::detail
