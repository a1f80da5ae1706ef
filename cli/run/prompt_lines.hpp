// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gguf_fuse::cli {

/// The strings of a text that has a JSON string on each line; empty lines are skipped. `path` names it in messages.
/// Throws UsageError: a line that is none, by its number, or no string at all.
[[nodiscard]] std::vector<std::string> parse_prompt_lines(std::string_view path, std::string_view text);

}  // namespace gguf_fuse::cli
