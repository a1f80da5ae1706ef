// SPDX-License-Identifier: MIT
#include <algorithm>
#include <charconv>
#include <cmath>

#include "operators.hpp"
#include "represent.hpp"
#include "strings.hpp"

namespace gguf_fuse::jinja::detail {
namespace {

using Self = const Value&;
using Args = const Arguments&;

template <Text (*Change)(const Text&)>
Result<Value> changed(Machine& machine, Self self, Args) {
  GGUF_FUSE_ASSIGN(const Text text, to_text(machine, self));
  GGUF_FUSE_CHECK(machine.charge(text.size()));
  return Value(Change(text));
}

Text same(const Text& text) { return text; }

Text escaped(const Text& text) {
  constexpr std::string_view kMarks = "&<>'\"";
  constexpr std::string_view kNames[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
  Text result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::size_t mark = kMarks.find(text.bytes()[i]);
    result.append(mark == std::string_view::npos ? std::string_view(text.bytes()).substr(i, 1) : kNames[mark],
                  text.origin(i));
  }
  return result;
}

Text titled(const Text& text) {
  Text result = lower(text);
  bool first = true;
  for (std::size_t i = 0; i < result.size(); ++i) {
    const char c = result.bytes()[i];
    if (first) result.set(i, to_upper(c));
    first = std::string_view("-({[< \t\n\r\v\f").find(c) != std::string_view::npos;
  }
  return result;
}

Result<Value> trim(Machine& machine, Self self, Args arguments) {
  GGUF_FUSE_ASSIGN(const Text text, to_text(machine, self));
  return stripped(machine, text, arguments.get(0, "chars"), true, true);
}

Result<Value> replace(Machine& machine, Self self, Args arguments) {
  GGUF_FUSE_ASSIGN(const Text text, to_text(machine, self));
  const Value* const old = arguments.get(0, "old");
  const Value* const by = arguments.get(1, "new");
  if (old == nullptr || by == nullptr) return machine.failure("replace wants two texts");
  GGUF_FUSE_ASSIGN(const Text from, to_text(machine, *old));
  GGUF_FUSE_ASSIGN(const Text to, to_text(machine, *by));
  GGUF_FUSE_ASSIGN(const std::int64_t most, integer_argument(machine, arguments.get(2, "count"), -1));
  GGUF_FUSE_ASSIGN(Text result, replaced(machine, text, from, to, most));
  return Value(std::move(result));
}

Result<Value> indent(Machine& machine, Self self, Args arguments) {
  GGUF_FUSE_ASSIGN(Text text, to_text(machine, self));
  Text indention;
  const Value* const width = arguments.get(0, "width");
  if (width != nullptr && width->text() != nullptr) {
    indention = *width->text();
  } else {
    GGUF_FUSE_ASSIGN(const std::int64_t count, integer_argument(machine, width, 4));
    GGUF_FUSE_CHECK(machine.charge(static_cast<std::uint64_t>(std::max<std::int64_t>(count, 0))));
    indention = Text(std::string(static_cast<std::size_t>(std::max<std::int64_t>(count, 0)), ' '), Origin::Template);
  }
  const Value* const first = arguments.get(1, "first");
  const Value* const blank = arguments.get(2, "blank");
  text.append("\n", Origin::Template);
  Text result;
  bool begun = false;
  for (const Range& line : line_ranges(text.bytes())) {
    GGUF_FUSE_CHECK(machine.charge(line.end - line.begin + indention.size() + 1));
    if (begun) result.append("\n", Origin::Template);
    const bool wanted = line.begin < line.end || (blank != nullptr && is_true(*blank));
    if (begun ? wanted : first != nullptr && is_true(*first)) result.append(indention);
    result.append(text, line.begin, line.end);
    begun = true;
  }
  return Value(std::move(result));
}

Result<Value> format(Machine& machine, Self self, Args arguments) {
  GGUF_FUSE_ASSIGN(const Text text, to_text(machine, self));
  return percent_format(machine, text, arguments.positional);
}

Result<Value> tojson(Machine& machine, Self self, Args arguments) {
  JsonStyle style;
  const auto flag = [&](std::size_t position, std::string_view name) {
    const Value* const value = arguments.get(position, name);
    return value != nullptr && is_true(*value);
  };
  style.ascii = flag(0, "ensure_ascii");
  style.sorted = flag(3, "sort_keys");
  Text spaces;
  const Value* const indention = arguments.get(1, "indent");
  if (indention != nullptr && !indention->is<None>()) {
    style.between = Text(",", Origin::Template);
    style.indent = indention->text();
    if (style.indent == nullptr) {
      GGUF_FUSE_ASSIGN(const std::int64_t count, integer_argument(machine, indention, 0));
      GGUF_FUSE_CHECK(machine.charge(static_cast<std::uint64_t>(std::max<std::int64_t>(count, 0))));
      spaces = Text(std::string(static_cast<std::size_t>(std::max<std::int64_t>(count, 0)), ' '), Origin::Template);
      style.indent = &spaces;
    }
  }
  if (const Value* const separators = arguments.get(2, "separators");
      separators != nullptr && !separators->is<None>()) {
    GGUF_FUSE_ASSIGN(const std::vector<Value> both, elements_of(machine, *separators));
    if (both.size() != 2 || both[0].text() == nullptr || both[1].text() == nullptr) {
      return machine.failure("separators are two texts");
    }
    style.between = *both[0].text();
    style.after_key = *both[1].text();
  }
  GGUF_FUSE_ASSIGN(Text text, to_json(machine, self, style));
  return Value(std::move(text));
}

Result<Value> from_json(Machine& machine, Self self, Args) {
  GGUF_FUSE_ASSIGN(const Text* const text, text_argument(machine, &self, "what is read as JSON"));
  GGUF_FUSE_CHECK(machine.charge(text->size() * (sizeof(Value) + sizeof(Text))));
  auto value = parse_json(machine.heap(), text->bytes(), text->origin());
  if (!value) return machine.failure("from_json: " + value.error().actual);
  return value;
}

template <typename Number>
std::optional<Number> read_number(const Text& text, int base) {
  const Range kept = strip_range(text.bytes(), nullptr, true, true);
  std::string digits = text.bytes().substr(kept.begin, kept.end - kept.begin);
  if (digits.starts_with('+')) digits.erase(0, 1);
  Number number{};
  std::from_chars_result read{};
  if constexpr (std::is_same_v<Number, double>) {
    read = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  } else {
    read = std::from_chars(digits.data(), digits.data() + digits.size(), number, base);
  }
  if (read.ec != std::errc() || read.ptr != digits.data() + digits.size() || digits.empty()) return std::nullopt;
  return number;
}

std::optional<std::int64_t> whole(double number) {
  if (!(std::fabs(number) < 9.2e18)) return std::nullopt;
  return static_cast<std::int64_t>(number);
}

Result<Value> to_int(Machine& machine, Self self, Args arguments) {
  const Value* const standard = arguments.get(0, "default");
  GGUF_FUSE_ASSIGN(const std::int64_t base, integer_argument(machine, arguments.get(1, "base"), 10));
  if (base < 2 || base > 36) return machine.failure("a base is between 2 and 36");
  std::optional<std::int64_t> number;
  if (const Text* const text = self.text()) {
    number = read_number<std::int64_t>(*text, static_cast<int>(base));
    if (!number) {
      if (const auto real = read_number<double>(*text, 10)) number = whole(*real);
    }
  } else if (const auto real = number_of(self)) {
    number = integer_of(self) ? integer_of(self) : whole(*real);
  }
  if (number) return Value(*number);
  return standard == nullptr ? Value(std::int64_t{0}) : *standard;
}

Result<Value> to_float(Machine&, Self self, Args arguments) {
  const Value* const standard = arguments.get(0, "default");
  const auto number = self.text() != nullptr ? read_number<double>(*self.text(), 10) : number_of(self);
  if (number) return Value(*number);
  return standard == nullptr ? Value(0.0) : *standard;
}

Result<Value> absolute(Machine& machine, Self self, Args) {
  if (const auto number = integer_of(self)) {
    return *number < 0 ? arithmetic(machine, "-", Value(std::int64_t{0}), self) : Value(*number);
  }
  if (const auto number = number_of(self)) return Value(std::fabs(*number));
  return machine.failure("abs of " + std::string(kind_name(self)));
}

Result<Value> round(Machine& machine, Self self, Args arguments) {
  const auto number = number_of(self);
  if (!number) return machine.failure("round of " + std::string(kind_name(self)));
  GGUF_FUSE_ASSIGN(const std::int64_t digits, integer_argument(machine, arguments.get(0, "precision"), 0));
  const Value* const given = arguments.get(1, "method");
  const std::string method = given == nullptr || given->text() == nullptr ? "common" : given->text()->bytes();
  const double scale = std::pow(10.0, static_cast<double>(std::clamp<std::int64_t>(digits, -300, 300)));
  if (method == "ceil") return Value(std::ceil(*number * scale) / scale);
  if (method == "floor") return Value(std::floor(*number * scale) / scale);
  if (method == "common" && integer_of(self) && digits >= 0) return Value(*integer_of(self));
  if (method != "common") return machine.failure("round knows common, ceil and floor");
  if (digits >= 0 && digits <= 15 && std::fabs(*number) < 1e15) {
    char text[64];  // decimal digits are rounded where the number is read exactly
    const auto end =
        std::to_chars(std::begin(text), std::end(text), *number, std::chars_format::fixed, static_cast<int>(digits))
            .ptr;
    double rounded = 0;
    std::from_chars(text, end, rounded);
    return Value(rounded);
  }
  return Value(digits < 0 ? std::nearbyint(*number * scale) / scale : *number);
}

Result<Value> standard_value(Machine&, Self self, Args arguments) {
  const Value* const standard = arguments.get(0, "default_value");
  const Value* const boolean = arguments.get(1, "boolean");
  const bool absent = self.is<Undefined>() || (boolean != nullptr && is_true(*boolean) && !is_true(self));
  if (!absent) return self;
  return standard == nullptr ? Value(Text()) : *standard;
}

constexpr Builtin kFilters[] = {{"abs", 0, absolute},
                                {"capitalize", 0, changed<capitalized>},
                                {"d", 2, standard_value},
                                {"default", 2, standard_value},
                                {"e", 0, changed<escaped>},
                                {"escape", 0, changed<escaped>},
                                {"float", 1, to_float},
                                {"format", kAnyNumber, format},
                                {"from_json", 0, from_json},
                                {"indent", 3, indent},
                                {"int", 2, to_int},
                                {"lower", 0, changed<lower>},
                                {"replace", 3, replace},
                                {"round", 2, round},
                                {"safe", 0, changed<same>},
                                {"string", 0, changed<same>},
                                {"title", 0, changed<titled>},
                                {"tojson", 4, tojson},
                                {"trim", 1, trim},
                                {"upper", 0, changed<upper>}};

}  // namespace

std::span<const Builtin> text_filters() { return kFilters; }

}  // namespace gguf_fuse::jinja::detail
