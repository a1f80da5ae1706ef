// SPDX-License-Identifier: MIT
// gguf-upcycle: makes a mixture of experts that speaks out of a dense model (support/upcycle.hpp).
#include "support/upcycle.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace {

using support::MixtureKind;
using support::UpcycleOptions;

constexpr std::string_view kUsage =
    "usage: gguf-upcycle DENSE OUT [--experts N] [--used K] [--arch llama|granite_swa|qwen3moe] [--seed S] "
    "[--unstacked]\n"
    "       [--force]\n";

template <typename T>
bool parse_number(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

bool parse_kind(std::string_view text, MixtureKind& kind) {
  if (text == "llama") return kind = MixtureKind::Llama, true;
  if (text == "granite_swa") return kind = MixtureKind::GraniteSwa, true;
  if (text == "qwen3moe") return kind = MixtureKind::Qwen3Moe, true;
  return false;
}

struct Arguments {
  std::vector<std::string> paths;
  UpcycleOptions options;
  bool replace = false;
};

std::optional<Arguments> parse(const std::vector<std::string_view>& words) {
  Arguments arguments;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words[i];
    const std::string_view value = i + 1 < words.size() ? words[i + 1] : "";
    bool good = true;
    if (!word.starts_with("--")) {
      arguments.paths.emplace_back(word);
      continue;
    }
    if (word == "--force") {
      arguments.replace = true;
      continue;
    }
    if (word == "--unstacked") {
      arguments.options.unstacked = true;
      continue;
    }
    if (word == "--experts") {
      good = parse_number(value, arguments.options.experts);
    } else if (word == "--used") {
      good = parse_number(value, arguments.options.used);
    } else if (word == "--seed") {
      good = parse_number(value, arguments.options.seed);
    } else {
      good = word == "--arch" && parse_kind(value, arguments.options.kind);
    }
    if (!good) return std::nullopt;
    ++i;
  }
  if (arguments.paths.size() != 2) return std::nullopt;
  return arguments;
}

}  // namespace

int main(int argc, char** argv) {
  const auto arguments = parse({argv + 1, argv + argc});
  if (!arguments) {
    fmt::print(stderr, "{}", kUsage);
    return 2;
  }
  const auto& [paths, options, replace] = *arguments;
  if (const auto done = support::upcycle(paths[0], paths[1], options, replace); !done) {
    fmt::print(stderr, "gguf-upcycle: {}\n", done.error().message());
    return 1;
  }
  return 0;
}
