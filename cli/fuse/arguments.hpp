// SPDX-License-Identifier: MIT
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "command_table.hpp"

namespace gguf_fuse::cli {

/// Removes the command's name from the arguments; without one they are convert's.
/// Throws UsageError for a word that is neither a command nor looks like a file.
[[nodiscard]] const CommandRow& take_command(std::vector<std::string>& arguments);

/// The arguments in the form the parser expects, `_` in option names replaced by `-` (llama.cpp takes both).
/// Throws UsageError for unknown options, missing and surplus values, and too many arguments: CLI11's own messages
/// suggest nothing.
[[nodiscard]] std::vector<std::string> checked_arguments(const CommandRow& row, const CLI::App& app,
                                                         std::vector<std::string> arguments);

}  // namespace gguf_fuse::cli
