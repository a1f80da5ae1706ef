// SPDX-License-Identifier: MIT
#include "strings.hpp"

#include <algorithm>

#include "operators.hpp"
#include "represent.hpp"

namespace gguf_fuse::jinja::detail {
namespace {

Text mapped(const Text& text, char (*change)(char), std::size_t begin, std::size_t end) {
  Text result = text;
  for (std::size_t i = begin; i < std::min(end, result.size()); ++i) result.set(i, change(result.bytes()[i]));
  return result;
}

}  // namespace

Text upper(const Text& text) { return mapped(text, to_upper, 0, text.size()); }
Text lower(const Text& text) { return mapped(text, to_lower, 0, text.size()); }
Text capitalized(const Text& text) { return mapped(lower(text), to_upper, 0, 1); }

Result<Text> replaced(Machine& machine, const Text& text, const Text& old, const Text& by, std::int64_t most) {
  const std::string& bytes = text.bytes();
  Text result;
  std::size_t done = 0;
  GGUF_FUSE_CHECK(machine.charge(bytes.size()));
  for (std::size_t at = 0; most != 0; --most) {
    at = bytes.find(old.bytes(), at);
    if (at == std::string::npos) break;
    GGUF_FUSE_CHECK(machine.charge(by.size() + 1));
    result.append(text, done, at);
    result.append(by);
    done = at + old.size();
    at = done;
    if (old.size() > 0) continue;
    if (at == bytes.size()) break;  // nothing is found between all characters and at both ends
    at += character_at(bytes, at).size;
  }
  result.append(text, done, text.size());
  return result;
}

Result<Value> stripped(Machine& machine, const Text& text, const Value* drop, bool left, bool right) {
  GGUF_FUSE_CHECK(machine.charge(text.size()));
  const std::string* characters = nullptr;
  if (drop != nullptr && !drop->is<None>()) {
    GGUF_FUSE_ASSIGN(const Text* const given, text_argument(machine, drop, "the characters to strip"));
    characters = &given->bytes();
    GGUF_FUSE_CHECK(machine.step(text.size() * characters->size() / 256));
  }
  const Range kept = strip_range(text.bytes(), characters, left, right);
  return Value(text.slice(kept.begin, kept.end));
}

std::vector<Range> line_ranges(std::string_view text) {
  std::vector<Range> lines;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Character character = character_at(text, at);
    const char32_t code = character.code;
    const bool ends = (code >= 0x0A && code <= 0x0D) || (code >= 0x1C && code <= 0x1E) || code == 0x85 ||
                      code == 0x2028 || code == 0x2029;
    const std::size_t end = at;
    at += character.size;
    if (!ends) continue;
    if (code == '\r' && at < text.size() && text[at] == '\n') ++at;
    lines.push_back({begin, end});
    begin = at;
  }
  if (begin < text.size()) lines.push_back({begin, text.size()});
  return lines;
}

Result<Text> joined(Machine& machine, const std::vector<Value>& items, const Text& between) {
  Text result;
  for (std::size_t i = 0; i < items.size(); ++i) {
    GGUF_FUSE_ASSIGN(const Text part, to_text(machine, items[i]));
    GGUF_FUSE_CHECK(machine.charge(part.size() + between.size() + 1));
    if (i > 0) result.append(between);
    result.append(part);
  }
  return result;
}

Result<const Text*> text_argument(Machine& machine, const Value* value, std::string_view what) {
  if (value != nullptr && value->text() != nullptr) return value->text();
  return machine.failure(std::string(what) +
                         (value == nullptr ? " are missing" : " are " + std::string(kind_name(*value))));
}

Result<std::int64_t> integer_argument(Machine& machine, const Value* value, std::int64_t standard) {
  if (value == nullptr || value->is<None>()) return standard;
  if (const auto number = integer_of(*value)) return *number;
  return machine.failure("an integer is wanted, and this is " + std::string(kind_name(*value)));
}

}  // namespace gguf_fuse::jinja::detail
