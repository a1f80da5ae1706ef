// SPDX-License-Identifier: MIT
// The two ways in which Python's strings are formats.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "characters.hpp"
#include "operators.hpp"
#include "represent.hpp"

namespace gguf_fuse::jinja::detail {
namespace {

/// What stands between a % and its letter.
struct Specification {
  bool left = false;
  bool zeros = false;
  bool sign = false;
  std::size_t width = 0;
  int precision = -1;
  char letter = '\0';
};
constexpr std::size_t kMostWidth = 1000;

// Nothing where it is not one; `at` goes behind it.
std::optional<Specification> read_specification(std::string_view format, std::size_t& at) {
  Specification result;
  for (; at < format.size(); ++at) {
    if (format[at] == '-') {
      result.left = true;
    } else if (format[at] == '0') {
      result.zeros = true;
    } else if (format[at] == '+') {
      result.sign = true;
    } else {
      break;
    }
  }
  const auto digits = [&] {
    std::size_t number = 0;
    for (; at < format.size() && is_digit(format[at]); ++at) {
      number = std::min(number * 10 + static_cast<std::size_t>(format[at] - '0'), kMostWidth + 1);
    }
    return number;
  };
  result.width = digits();
  if (at < format.size() && format[at] == '.') {
    ++at;
    result.precision = static_cast<int>(digits());
  }
  if (at == format.size() || result.width > kMostWidth || result.precision > static_cast<int>(kMostWidth)) return {};
  result.letter = format[at++];
  return result;
}

Result<Text> formatted(Machine& machine, const Specification& how, const Value& value) {
  if (how.letter == 's' || how.letter == 'r') {
    Text text;
    if (how.letter == 'r') {
      GGUF_FUSE_CHECK(represent(machine, value, text));
    } else {
      GGUF_FUSE_ASSIGN(text, to_text(machine, value));
    }
    const std::vector<std::size_t> starts = character_starts(text.bytes());
    const auto most = static_cast<std::size_t>(how.precision);
    return how.precision < 0 || most + 1 >= starts.size() ? text : text.slice(0, starts[most]);
  }
  const auto number = number_of(value);
  if (!number) return machine.failure(std::string("%") + how.letter + " of " + std::string(kind_name(value)));
  if (how.letter == 'd' || how.letter == 'i') {
    const auto whole = integer_of(value);
    const std::string digits = whole ? std::to_string(*whole) : float_text(std::trunc(*number));
    const std::string plain = digits.substr(0, digits.find('.'));
    return Text(how.sign && *number >= 0 ? '+' + plain : plain, Origin::Template);
  }
  if (std::string_view("fFeEgG").find(how.letter) == std::string_view::npos) {
    return machine.failure(std::string("no format is %") + how.letter);
  }
  const auto style = how.letter == 'f' || how.letter == 'F'   ? std::chars_format::fixed
                     : how.letter == 'e' || how.letter == 'E' ? std::chars_format::scientific
                                                              : std::chars_format::general;
  std::array<char, 1400> digits{};  // 309 before the point
  const auto end =
      std::to_chars(digits.begin(), digits.end(), *number, style, how.precision < 0 ? 6 : how.precision).ptr;
  std::string text(digits.begin(), end);
  if (how.sign && *number >= 0) text.insert(0, 1, '+');
  return Text(std::move(text), Origin::Template);
}

Text padded(const Specification& how, const Text& text) {
  const std::size_t size = count_characters(text.bytes());
  if (size >= how.width) return text;
  const bool zeros = how.zeros && !how.left && how.letter != 's' && how.letter != 'r';
  const Text fill(std::string(how.width - size, zeros ? '0' : ' '), Origin::Template);
  Text result;
  const std::size_t sign = zeros && (text.bytes().front() == '-' || text.bytes().front() == '+') ? 1 : 0;
  if (how.left) {
    result = text;
    result.append(fill);
  } else {
    result.append(text, 0, sign);
    result.append(fill);
    result.append(text, sign, text.size());
  }
  return result;
}

}  // namespace

Result<Value> percent_format(Machine& machine, const Text& format, const std::vector<Value>& arguments) {
  const std::string& bytes = format.bytes();
  Text out;
  std::size_t used = 0;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t sign = std::min(bytes.find('%', at), bytes.size());
    GGUF_FUSE_CHECK(machine.charge(sign - at));
    out.append(format, at, sign);
    at = sign + 1;
    if (sign == bytes.size()) break;
    const auto how = read_specification(bytes, at);
    if (!how) return machine.failure("a format that does not end");
    if (how->letter == '%') {
      out.append("%", format.origin(sign));
      continue;
    }
    if (used == arguments.size()) return machine.failure("a format with more fields than values");
    GGUF_FUSE_ASSIGN(const Text text, formatted(machine, *how, arguments[used++]));
    GGUF_FUSE_CHECK(machine.charge(text.size() + how->width));
    out.append(padded(*how, text));
  }
  if (used < arguments.size() && !(arguments.size() == 1 && arguments[0].dict() != nullptr)) {
    return machine.failure("a format with fewer fields than values");
  }
  return Value(std::move(out));
}

namespace {

Result<const Value*> field_value(Machine& machine, std::string_view field, std::size_t& automatic,
                                 const Arguments& arguments) {
  std::size_t position = automatic;
  const bool numbered = !field.empty() && std::all_of(field.begin(), field.end(), is_digit);
  if (numbered) std::from_chars(field.data(), field.data() + field.size(), position);
  if (field.empty()) ++automatic;
  const Value* const value =
      field.empty() || numbered ? arguments.get(position, "") : arguments.get(arguments.positional.size(), field);
  if (value == nullptr) return machine.failure("no value for the field {" + escape_text(field) + '}');
  return value;
}

}  // namespace

Result<Value> brace_format(Machine& machine, const Text& format, const Arguments& arguments) {
  const std::string& bytes = format.bytes();
  Text out;
  std::size_t automatic = 0;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t brace = std::min(bytes.find_first_of("{}", at), bytes.size());
    GGUF_FUSE_CHECK(machine.charge(brace - at));
    out.append(format, at, brace);
    at = brace + 1;
    if (brace == bytes.size()) break;
    if (at < bytes.size() && bytes[at] == bytes[brace]) {
      out.append(format, at, at + 1);
      ++at;
      continue;
    }
    const std::size_t end = bytes.find('}', at);
    if (bytes[brace] == '}' || end == std::string::npos) return machine.failure("a single brace in a format");
    const std::string_view field = std::string_view(bytes).substr(at, end - at);
    if (field.find_first_of(":!.[") != std::string_view::npos) {
      return machine.failure("a field with a format of its own: {" + escape_text(field) + '}');
    }
    GGUF_FUSE_ASSIGN(const Value* const value, field_value(machine, field, automatic, arguments));
    GGUF_FUSE_ASSIGN(const Text text, to_text(machine, *value));
    GGUF_FUSE_CHECK(machine.charge(text.size()));
    out.append(text);
    at = end + 1;
  }
  return Value(std::move(out));
}

}  // namespace gguf_fuse::jinja::detail
