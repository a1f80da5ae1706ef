// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "command_table.hpp"
#include "completion.hpp"

namespace gguf_fuse::cli {

/// `gguf-fuse --help`: the commands, exit codes and examples.
[[nodiscard]] std::string program_help();
/// `gguf-fuse COMMAND --help`.
[[nodiscard]] std::string command_help(const CommandRow& row);
/// Both, for the man page.
[[nodiscard]] std::string all_help();
[[nodiscard]] std::string version_text();
[[nodiscard]] std::string completion_text(Shell shell);

}  // namespace gguf_fuse::cli
