// SPDX-License-Identifier: MIT
#include "gguf_fuse/fuse/part_names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <unordered_map>

namespace gguf_fuse::fuse {
namespace {

std::vector<NumberRange> ranges_of(std::vector<std::uint32_t> numbers) {
  std::sort(numbers.begin(), numbers.end());
  std::vector<NumberRange> ranges;
  for (const std::uint64_t number : numbers) {
    if (ranges.empty() || number > ranges.back().second + 1) {
      ranges.emplace_back(number, number);
    } else {
      ranges.back().second = number;
    }
  }
  return ranges;
}

}  // namespace

std::optional<NumberedName> split_number(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || dot + 1 == name.size()) return std::nullopt;
  const char* begin = name.data() + dot + 1;
  const char* end = name.data() + name.size();
  NumberedName parsed{.base = name.substr(0, dot)};
  const auto [stop, error] = std::from_chars(begin, end, parsed.number);
  const bool canonical = error == std::errc() && stop == end && (*begin != '0' || end == begin + 1);
  return canonical ? std::optional(parsed) : std::nullopt;
}

std::string numbered_text(std::string_view base, std::span<const NumberRange> ranges) {
  constexpr std::size_t kShown = 8;
  const auto text_of = [](const NumberRange& range) {
    const auto [first, last] = range;
    return first == last ? fmt::format("{}", first) : fmt::format("{}..{}", first, last);
  };
  if (ranges.size() == 1 && ranges[0].first == ranges[0].second) return fmt::format("{}.{}", base, ranges[0].first);
  std::string text;
  for (const NumberRange& range : ranges.first(std::min(ranges.size(), kShown)))
    text += (text.empty() ? "" : ",") + text_of(range);
  return fmt::format("{}.{{{}{}}}", base, text, ranges.size() > kShown ? ",..." : "");
}

std::vector<std::string> group_names(std::span<const std::string> names) {
  struct Group {
    std::string_view name;
    std::vector<std::uint32_t> numbers;
  };
  std::vector<Group> groups;
  std::unordered_map<std::string_view, std::size_t> numbered;
  for (const std::string& name : names) {
    const auto part = split_number(name);
    if (!part) {
      groups.push_back({name, {}});
      continue;
    }
    const auto [place, added] = numbered.try_emplace(part->base, groups.size());
    if (added) groups.push_back({part->base, {}});
    groups[place->second].numbers.push_back(part->number);
  }
  std::vector<std::string> texts;
  texts.reserve(groups.size());
  for (const Group& group : groups) {
    texts.push_back(group.numbers.empty() ? std::string(group.name)
                                          : numbered_text(group.name, ranges_of(group.numbers)));
  }
  return texts;
}

std::string join_names(std::span<const std::string> names) {
  return fmt::format("{}", fmt::join(group_names(names), ", "));
}

}  // namespace gguf_fuse::fuse
