// SPDX-License-Identifier: MIT
#include <algorithm>

#include "operators.hpp"
#include "represent.hpp"
#include "strings.hpp"

namespace gguf_fuse::jinja::detail {
namespace {

using Self = const Value&;
using Args = const Arguments&;

template <bool Left, bool Right>
Result<Value> strip(Machine& machine, Self self, Args arguments) {
  return stripped(machine, *self.text(), arguments.get(0, "chars"), Left, Right);
}

template <Text (*Change)(const Text&)>
Result<Value> changed(Machine& machine, Self self, Args) {
  GGUF_FUSE_CHECK(machine.charge(self.text()->size()));
  return Value(Change(*self.text()));
}

// Python's title: a letter behind anything but a letter is large.
Text titled(const Text& text) {
  Text result = lower(text);
  bool letter = false;
  for (std::size_t i = 0; i < result.size(); ++i) {
    const char c = result.bytes()[i];
    if (!letter) result.set(i, to_upper(c));
    letter = is_lower(c);
  }
  return result;
}

Result<Value> list_of(Machine& machine, const Text& text, const std::vector<Range>& parts) {
  GGUF_FUSE_CHECK(machine.charge(text.size() + parts.size() * (sizeof(Value) + sizeof(Text))));
  std::vector<Value> items;
  items.reserve(parts.size());
  for (const Range& part : parts) items.emplace_back(text.slice(part.begin, part.end));
  return machine.make_list(std::move(items));
}

// At runs of white space, none at the ends.
std::vector<Range> words(std::string_view text, std::int64_t most) {
  std::vector<Range> parts;
  Range rest = strip_range(text, nullptr, true, false);
  while (rest.begin < rest.end) {
    std::size_t end = rest.begin;
    while (end < text.size() && !is_space(character_at(text, end).code)) end += character_at(text, end).size;
    if (most-- == 0) {
      parts.push_back({rest.begin, strip_range(text, nullptr, false, true).end});
      break;
    }
    parts.push_back({rest.begin, end});
    rest.begin = end + strip_range(text.substr(end), nullptr, true, false).begin;
  }
  return parts;
}

template <bool FromRight>
Result<Value> split(Machine& machine, Self self, Args arguments) {
  const Text& text = *self.text();
  const std::string& bytes = text.bytes();
  GGUF_FUSE_ASSIGN(const std::int64_t given, integer_argument(machine, arguments.get(1, "maxsplit"), -1));
  const std::int64_t most = given < 0 ? INT64_MAX : given;
  const Value* const separator = arguments.get(0, "sep");
  if (separator == nullptr || separator->is<None>()) {
    if (FromRight && given >= 0) return machine.failure("rsplit at white space knows no limit");
    return list_of(machine, text, words(bytes, most));
  }
  GGUF_FUSE_ASSIGN(const Text* const mark, text_argument(machine, separator, "separators"));
  if (mark->size() == 0) return machine.failure("an empty separator");
  std::vector<Range> parts;
  if (FromRight) {
    std::size_t end = bytes.size();
    while (static_cast<std::int64_t>(parts.size()) < most && end >= mark->size()) {
      const std::size_t at = bytes.rfind(mark->bytes(), end - mark->size());
      if (at == std::string::npos) break;
      parts.push_back({at + mark->size(), end});
      end = at;
    }
    parts.push_back({0, end});
    std::reverse(parts.begin(), parts.end());
  } else {
    std::size_t begin = 0;
    while (static_cast<std::int64_t>(parts.size()) < most) {
      const std::size_t at = bytes.find(mark->bytes(), begin);
      if (at == std::string::npos) break;
      parts.push_back({begin, at});
      begin = at + mark->size();
    }
    parts.push_back({begin, bytes.size()});
  }
  return list_of(machine, text, parts);
}

Result<Value> splitlines(Machine& machine, Self self, Args) {
  return list_of(machine, *self.text(), line_ranges(self.text()->bytes()));
}

template <bool FromRight>
Result<Value> partition(Machine& machine, Self self, Args arguments) {
  GGUF_FUSE_ASSIGN(const Text* const mark, text_argument(machine, arguments.get(0, "sep"), "separators"));
  const Text& text = *self.text();
  GGUF_FUSE_CHECK(machine.charge(text.size()));
  const std::size_t at = FromRight ? text.bytes().rfind(mark->bytes()) : text.bytes().find(mark->bytes());
  if (at == std::string::npos) {
    const Value none{Text()};
    return machine.make_list(FromRight ? std::vector<Value>{none, none, self} : std::vector<Value>{self, none, none},
                             List::Kind::Tuple);
  }
  const std::size_t end = at + mark->size();
  return machine.make_list({Value(text.slice(0, at)), Value(text.slice(at, end)), Value(text.slice(end, text.size()))},
                           List::Kind::Tuple);
}

// The argument of startswith and endswith: one text or a tuple of them.
template <bool AtEnd>
Result<Value> has_affix(Machine& machine, Self self, Args arguments) {
  const Value* const given = arguments.get(0, "prefix");
  std::vector<Value> affixes;
  if (given != nullptr && given->list() != nullptr) {
    affixes = given->list()->items;
  } else if (given != nullptr) {
    affixes.push_back(*given);
  }
  if (affixes.empty() && given == nullptr) return machine.failure("a text to look for is missing");
  const std::string& bytes = self.text()->bytes();
  bool found = false;
  for (const Value& affix : affixes) {
    GGUF_FUSE_ASSIGN(const Text* const text, text_argument(machine, &affix, "texts to look for"));
    found = found || (AtEnd ? bytes.ends_with(text->bytes()) : bytes.starts_with(text->bytes()));
  }
  return Value(found);
}

template <bool AtEnd>
Result<Value> without_affix(Machine& machine, Self self, Args arguments) {
  GGUF_FUSE_ASSIGN(const Text* const affix, text_argument(machine, arguments.get(0, "prefix"), "texts to remove"));
  const Text& text = *self.text();
  const std::string& bytes = text.bytes();
  if (!(AtEnd ? bytes.ends_with(affix->bytes()) : bytes.starts_with(affix->bytes()))) return self;
  GGUF_FUSE_CHECK(machine.charge(text.size()));
  return Value(AtEnd ? text.slice(0, text.size() - affix->size()) : text.slice(affix->size(), text.size()));
}

Result<Value> replace(Machine& machine, Self self, Args arguments) {
  GGUF_FUSE_ASSIGN(const Text* const old, text_argument(machine, arguments.get(0, "old"), "texts to replace"));
  GGUF_FUSE_ASSIGN(const Text* const by, text_argument(machine, arguments.get(1, "new"), "replacements"));
  GGUF_FUSE_ASSIGN(const std::int64_t most, integer_argument(machine, arguments.get(2, "count"), -1));
  GGUF_FUSE_ASSIGN(Text result, replaced(machine, *self.text(), *old, *by, most));
  return Value(std::move(result));
}

// Where it is, in characters, or -1.
template <bool FromRight, bool Fails>
Result<Value> find(Machine& machine, Self self, Args arguments) {
  GGUF_FUSE_ASSIGN(const Text* const wanted, text_argument(machine, arguments.get(0, "sub"), "texts to look for"));
  const std::string& bytes = self.text()->bytes();
  GGUF_FUSE_CHECK(machine.step(bytes.size() / 64));
  const std::size_t at = FromRight ? bytes.rfind(wanted->bytes()) : bytes.find(wanted->bytes());
  if (at != std::string::npos) {
    return Value(static_cast<std::int64_t>(count_characters(std::string_view(bytes).substr(0, at))));
  }
  if (Fails) return machine.failure("a text that is not there");
  return Value(std::int64_t{-1});
}

Result<Value> count(Machine& machine, Self self, Args arguments) {
  GGUF_FUSE_ASSIGN(const Text* const wanted, text_argument(machine, arguments.get(0, "sub"), "texts to count"));
  const std::string& bytes = self.text()->bytes();
  GGUF_FUSE_CHECK(machine.step(bytes.size() / 64));
  if (wanted->size() == 0) return Value(static_cast<std::int64_t>(count_characters(bytes) + 1));
  std::int64_t number = 0;
  for (std::size_t at = bytes.find(wanted->bytes()); at != std::string::npos;
       at = bytes.find(wanted->bytes(), at + wanted->size())) {
    ++number;
  }
  return Value(number);
}

Result<Value> join(Machine& machine, Self self, Args arguments) {
  if (arguments.positional.size() != 1) return machine.failure("join wants one list");
  GGUF_FUSE_ASSIGN(const std::vector<Value> items, elements_of(machine, arguments.positional[0]));
  for (const Value& item : items) GGUF_FUSE_CHECK(text_argument(machine, &item, "what join takes"));
  GGUF_FUSE_ASSIGN(Text text, joined(machine, items, *self.text()));
  return Value(std::move(text));
}

Result<Value> format(Machine& machine, Self self, Args arguments) {
  return brace_format(machine, *self.text(), arguments);
}

template <bool (*Holds)(char)>
Result<Value> all_are(Machine&, Self self, Args) {
  const std::string& bytes = self.text()->bytes();
  return Value(!bytes.empty() && std::all_of(bytes.begin(), bytes.end(), Holds));
}
bool is_letter(char c) { return is_upper(c) || is_lower(c) || static_cast<unsigned char>(c) >= 0x80U; }
bool is_letter_or_digit(char c) { return is_letter(c) || is_digit(c); }

template <bool (*Counts)(char), bool (*Refused)(char)>
Result<Value> in_case(Machine&, Self self, Args) {
  const std::string& bytes = self.text()->bytes();
  return Value(std::any_of(bytes.begin(), bytes.end(), Counts) && std::none_of(bytes.begin(), bytes.end(), Refused));
}

Result<Value> isspace(Machine&, Self self, Args) {
  const std::string& bytes = self.text()->bytes();
  return Value(!bytes.empty() && strip_range(bytes, nullptr, true, false).begin == bytes.size());
}

constexpr Builtin kMethods[] = {{"capitalize", 0, changed<capitalized>},
                                {"count", 1, count},
                                {"endswith", 1, has_affix<true>},
                                {"find", 1, find<false, false>},
                                {"format", kAnyNumber, format},
                                {"index", 1, find<false, true>},
                                {"isalnum", 0, all_are<is_letter_or_digit>},
                                {"isalpha", 0, all_are<is_letter>},
                                {"isdigit", 0, all_are<is_digit>},
                                {"islower", 0, in_case<is_lower, is_upper>},
                                {"isspace", 0, isspace},
                                {"isupper", 0, in_case<is_upper, is_lower>},
                                {"join", 1, join},
                                {"lower", 0, changed<lower>},
                                {"lstrip", 1, strip<true, false>},
                                {"partition", 1, partition<false>},
                                {"removeprefix", 1, without_affix<false>},
                                {"removesuffix", 1, without_affix<true>},
                                {"replace", 3, replace},
                                {"rfind", 1, find<true, false>},
                                {"rpartition", 1, partition<true>},
                                {"rsplit", 2, split<true>},
                                {"rstrip", 1, strip<false, true>},
                                {"split", 2, split<false>},
                                {"splitlines", 0, splitlines},
                                {"startswith", 1, has_affix<false>},
                                {"strip", 1, strip<true, true>},
                                {"title", 0, changed<titled>},
                                {"upper", 0, changed<upper>}};

}  // namespace

std::span<const Builtin> string_methods() { return kMethods; }

}  // namespace gguf_fuse::jinja::detail
