// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "options.hpp"

namespace gguf_fuse::cli {

struct Example {
  std::string_view what, command;
};

/// A command is a row; parsing, help and suggestions read it.
struct CommandRow {
  Command command;
  std::string_view name;
  std::vector<std::string_view> arguments;  ///< in order
  std::string_view summary;                 ///< for the list of commands
  std::string_view description;
  std::vector<Example> examples;
};

[[nodiscard]] std::span<const CommandRow> commands();
[[nodiscard]] const CommandRow& command_row(Command command);
[[nodiscard]] const CommandRow* find_command(std::string_view name);
[[nodiscard]] std::vector<std::string> command_names();

}  // namespace gguf_fuse::cli
