// SPDX-License-Identifier: MIT
#include "prompt_lines.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "json_output.hpp"
#include "values.hpp"

namespace gguf_fuse::cli {

std::vector<std::string> parse_prompt_lines(std::string_view path, std::string_view text) {
  const std::string name = path == "-" ? "standard input" : escape_text(path);
  std::vector<std::string> prompts;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const Json value = Json::parse(line, nullptr, false);
    if (!value.is_string()) {
      throw UsageError(
          fmt::format("--prompts: line {} of {} is no JSON string, such as \"What is this?\"", number, name));
    }
    prompts.push_back(value.get<std::string>());
  }
  if (prompts.empty()) throw UsageError(fmt::format("--prompts: there is no prompt in {}", name));
  return prompts;
}

}  // namespace gguf_fuse::cli
