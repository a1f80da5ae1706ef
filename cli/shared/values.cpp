// SPDX-License-Identifier: MIT
#include "values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "gguf_fuse/loader/error.hpp"
#include "suggest.hpp"

namespace gguf_fuse::cli {
namespace {

/// The whole of `text` as a decimal number.
std::optional<std::uint64_t> whole_number(std::string_view text) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || error != std::errc() || stop != end) return std::nullopt;
  return value;
}

/// The whole of `text` as a number of type T that lies in the range.
template <typename T>
std::optional<T> number_within(std::string_view text, T minimum, T maximum) {
  T value{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  // written so that NaN fails too
  if (text.empty() || error != std::errc() || stop != end || !(value >= minimum && value <= maximum)) {
    return std::nullopt;
  }
  return value;
}

/// What one unit of a size suffix stands for; nothing for unknown suffixes.
std::optional<std::uint64_t> unit_bytes(std::string_view suffix) {
  if (suffix.empty() || suffix == "B") return 1;
  constexpr std::string_view kLetters = "KMGT";
  const char letter = suffix[0] >= 'a' ? static_cast<char>(suffix[0] - 'a' + 'A') : suffix[0];
  const std::size_t power = kLetters.find(letter);
  if (power == std::string_view::npos) return std::nullopt;
  const std::string_view rest = suffix.substr(1);
  const bool binary = rest == "iB" || rest == "ib" || rest == "i";
  if (!binary && !rest.empty() && rest != "B" && rest != "b") return std::nullopt;
  std::uint64_t unit = 1;
  for (std::size_t i = 0; i <= power; ++i) unit *= binary ? 1024 : 1000;
  return unit;
}

std::string quoted(std::string_view text) { return "\"" + escape_text(text) + "\""; }

}  // namespace

std::uint64_t parse_size(std::string_view option, std::string_view text) {
  const std::size_t digits = text.find_first_not_of("0123456789.");
  const std::string_view number = text.substr(0, digits);
  const auto unit = unit_bytes(digits == std::string_view::npos ? std::string_view() : text.substr(digits));
  const auto wrong = [&](std::string_view why) {
    return UsageError(fmt::format("{} {}: {}", option, quoted(text), why));
  };
  constexpr std::string_view kForm = "give a size such as 500M, 4G (decimal) or 64MiB (binary)";
  if (!unit || number.empty()) throw wrong(kForm);
  constexpr double kLimit = 9.2e18;  // below 2^63
  if (const auto whole = whole_number(number)) {
    if (*whole == 0) throw wrong("the size must be larger than 0");
    if (static_cast<double>(*whole) * static_cast<double>(*unit) > kLimit) throw wrong("the size is too large");
    return *whole * *unit;
  }
  double fraction = 0;
  const char* end = number.data() + number.size();
  const auto [stop, error] = std::from_chars(number.data(), end, fraction, std::chars_format::fixed);
  if (error != std::errc() || stop != end || !std::isfinite(fraction)) throw wrong(kForm);
  const double bytes = fraction * static_cast<double>(*unit);
  if (bytes < 1) throw wrong("the size must be larger than 0");
  if (bytes > kLimit) throw wrong("the size is too large");
  return static_cast<std::uint64_t>(bytes);
}

std::uint64_t parse_count(std::string_view option, std::string_view text, std::uint64_t minimum,
                          std::uint64_t maximum) {
  const auto value = whole_number(text);
  if (text.starts_with('-') && whole_number(text.substr(1))) {
    throw UsageError(fmt::format("{} {}: the value must not be negative", option, quoted(text)));
  }
  if (!value || *value < minimum || *value > maximum) {
    throw UsageError(fmt::format("{} {}: give a whole number from {} to {}", option, quoted(text), minimum, maximum));
  }
  return *value;
}

std::int64_t parse_integer(std::string_view option, std::string_view text, std::int64_t minimum, std::int64_t maximum) {
  if (const auto value = number_within(text, minimum, maximum)) return *value;
  throw UsageError(fmt::format("{} {}: give a whole number from {} to {}", option, quoted(text), minimum, maximum));
}

double parse_decimal(std::string_view option, std::string_view text, double minimum, double maximum) {
  if (const auto value = number_within(text, minimum, maximum)) return *value;
  throw UsageError(fmt::format("{} {}: give a number from {} to {}", option, quoted(text), minimum, maximum));
}

unsigned parse_threads(std::string_view option, std::string_view text) {
  constexpr std::int64_t kMostThreads = 256;
  const std::int64_t threads = parse_integer(option, text, -1, kMostThreads);
  return threads < 0 ? 0 : static_cast<unsigned>(threads);
}

bool parse_truth(std::string_view option, std::string_view text) {
  for (const std::string_view yes : {"on", "enabled", "true", "1"}) {
    if (text == yes) return true;
  }
  for (const std::string_view no : {"off", "disabled", "false", "0"}) {
    if (text == no) return false;
  }
  throw UsageError(fmt::format("{} {}: give on or off", option, quoted(text)));
}

std::vector<std::string> parse_list(std::string_view option, std::string_view text) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    if (end == begin) throw UsageError(fmt::format("{} {}: a part of the list is empty", option, quoted(text)));
    parts.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

std::pair<std::uint32_t, std::uint32_t> parse_layers(std::string_view option, std::string_view text) {
  constexpr std::uint64_t kLastLayer = std::numeric_limits<std::uint32_t>::max();
  const std::size_t dash = text.find('-');
  const auto first = whole_number(text.substr(0, dash));
  auto last = first;
  if (dash != std::string_view::npos) {
    last = dash + 1 == text.size() ? std::optional(kLastLayer) : whole_number(text.substr(dash + 1));
  }
  if (!first || !last || *first > kLastLayer || *last > kLastLayer) {
    throw UsageError(
        fmt::format("{} {}: give one layer (3), a range (0-11) or all from one on (12-)", option, quoted(text)));
  }
  if (*first > *last) {
    throw UsageError(fmt::format("{} {}: the first layer is larger than the last", option, quoted(text)));
  }
  return {static_cast<std::uint32_t>(*first), static_cast<std::uint32_t>(*last)};
}

std::size_t parse_choice(std::string_view option, std::string_view text, const std::vector<std::string>& words) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == text) return i;
  }
  const std::string suggestion = did_you_mean(text, words);
  if (!suggestion.empty()) throw UsageError(fmt::format("{} {}: unknown value{}", option, quoted(text), suggestion));
  throw UsageError(fmt::format("{} {}: unknown value; give one of {}", option, quoted(text), fmt::join(words, ", ")));
}

const std::vector<std::string>& load_mode_names() {
  static const std::vector<std::string> kNames{"none", "mmap", "dio"};
  return kNames;
}

std::string_view load_mode_name(LoadMode mode) { return load_mode_names().at(static_cast<std::size_t>(mode)); }

std::string unescape(std::string_view text) {
  constexpr std::string_view kLetters = "ntr\"'\\", kMeanings = "\n\t\r\"'\\";
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char next = i + 1 < text.size() ? text[i + 1] : '\0';
    const std::size_t letter = kLetters.find(next);
    unsigned char byte = 0;
    if (text[i] == '\\' && next == 'x' && i + 3 < text.size() &&
        std::from_chars(&text[i + 2], &text[i + 2] + 2, byte, 16).ptr == &text[i + 2] + 2) {
      out += static_cast<char>(byte);
      i += 3;
    } else if (text[i] == '\\' && next != '\0' && letter != std::string_view::npos) {
      out += kMeanings[letter];
      ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace gguf_fuse::cli
