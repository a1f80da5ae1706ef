// SPDX-License-Identifier: MIT
#include "represent.hpp"

#include <charconv>
#include <cmath>

#include "characters.hpp"
#include "operators.hpp"

namespace gguf_fuse::jinja::detail {
namespace {

std::string hexadecimal_text(char32_t code, std::size_t digits) {
  std::string text;
  for (std::size_t i = digits; i-- > 0;) text += "0123456789abcdef"[code >> (4 * i) & 0xFU];
  return text;
}

// Not what Unicode calls printable; of its controls, formats and spaces those that occur.
bool is_hidden(char32_t code) {
  return code < 0x20 || (code >= 0x7F && code <= 0xA0) || code == 0xAD || (code >= 0x2000 && code <= 0x200F) ||
         (code >= 0x2028 && code <= 0x202F) || (code >= 0x205F && code <= 0x206F) || code == 0x3000 || code == 0xFEFF ||
         (code >= 0xE000 && code <= 0xF8FF);
}

void represent_text(const Text& text, Text& out) {
  const std::string& bytes = text.bytes();
  const bool has_single = bytes.find('\'') != std::string::npos;
  const std::string quote = has_single && bytes.find('"') == std::string::npos ? "\"" : "'";
  out.append(quote, Origin::Template);
  for (std::size_t at = 0; at < bytes.size();) {
    const Character character = character_at(bytes, at);
    const Origin origin = text.origin(at);
    const char c = bytes[at];
    constexpr std::string_view kControls = "\t\n\r";
    if (c == '\\' || c == quote[0]) {
      out.append(std::string("\\") + c, origin);
    } else if (const std::size_t known = kControls.find(c); known != std::string_view::npos) {
      out.append(std::string("\\") + "tnr"[known], origin);
    } else if (is_hidden(character.code)) {
      const bool wide = character.code > 0xFF;
      out.append((wide ? "\\u" : "\\x") + hexadecimal_text(character.code, wide ? 4 : 2), origin);
    } else {
      out.append(text, at, at + character.size);
    }
    at += character.size;
  }
  out.append(quote, Origin::Template);
}

Result<void> represent_list(Machine& machine, const List& list, Text& out) {
  const bool tuple = list.kind == List::Kind::Tuple;
  out.append(tuple ? "(" : "[", Origin::Template);
  for (std::size_t i = 0; i < list.items.size(); ++i) {
    if (i > 0) out.append(", ", Origin::Template);
    GGUF_FUSE_CHECK(represent(machine, list.items[i], out));
  }
  out.append(tuple ? (list.items.size() == 1 ? ",)" : ")") : "]", Origin::Template);
  return {};
}

Result<void> represent_dict(Machine& machine, const Dict& dict, Text& out) {
  out.append(dict.kind == Dict::Kind::Namespace ? "<Namespace {" : "{", Origin::Template);
  bool first = true;
  for (const auto& [key, value] : dict.entries) {
    if (!first) out.append(", ", Origin::Template);
    first = false;
    GGUF_FUSE_CHECK(represent(machine, key, out));
    out.append(": ", Origin::Template);
    GGUF_FUSE_CHECK(represent(machine, value, out));
  }
  out.append(dict.kind == Dict::Kind::Namespace ? "}>" : "}", Origin::Template);
  return {};
}

std::string scalar_text(const Value& value) {
  if (value.is<None>()) return "None";
  if (const bool* const flag = value.get<bool>()) return *flag ? "True" : "False";
  if (const std::int64_t* const number = value.get<std::int64_t>()) return std::to_string(*number);
  if (const double* const number = value.get<double>()) return float_text(*number);
  return value.is<Undefined>() ? "" : "<function>";
}

}  // namespace

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char digits[32];
  const auto end = std::to_chars(std::begin(digits), std::end(digits), value, std::chars_format::scientific).ptr;
  const std::string_view shortest(digits, static_cast<std::size_t>(end - digits));
  const int exponent = std::stoi(std::string(shortest.substr(shortest.find('e') + 1)));
  if (exponent < -4 || exponent >= 16) return std::string(shortest);
  char plain[64];
  const auto last = std::to_chars(std::begin(plain), std::end(plain), value, std::chars_format::fixed).ptr;
  std::string text(plain, last);
  return text.find('.') == std::string::npos ? text + ".0" : text;
}

Result<Text> to_text(Machine& machine, const Value& value) {
  if (const Text* const text = value.text()) return *text;
  Text text;
  if (!value.is<Undefined>()) GGUF_FUSE_CHECK(represent(machine, value, text));
  return text;
}

Result<void> represent(Machine& machine, const Value& value, Text& out) {
  const Machine::Nested nested(machine);
  GGUF_FUSE_CHECK(machine.charge(16));
  if (const Text* const text = value.text()) {
    GGUF_FUSE_CHECK(machine.charge(text->size()));
    represent_text(*text, out);
    return {};
  }
  if (const List* const list = value.list()) return represent_list(machine, *list, out);
  if (const Dict* const dict = value.dict()) return represent_dict(machine, *dict, out);
  out.append(value.is<Undefined>() ? "Undefined" : scalar_text(value), Origin::Template);
  return {};
}

}  // namespace gguf_fuse::jinja::detail
