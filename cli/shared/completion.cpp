// SPDX-License-Identifier: MIT
#include "completion.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace gguf_fuse::cli {
namespace {

struct ShellRow {
  std::string_view option;
  std::string_view help;
  Shell shell;
  std::string (*script)(const CompletedProgram& program);
};
constexpr ShellRow kShells[] = {
    {"--completion-bash", "print a completion script for bash", Shell::Bash, bash_completion},
    {"--completion-zsh", "the same for zsh", Shell::Zsh, zsh_completion},
    {"--completion-fish", "the same for fish", Shell::Fish, fish_completion},
};

}  // namespace

std::string CompletedProgram::identifier() const {
  std::string text = name;
  std::replace(text.begin(), text.end(), '-', '_');
  return text;
}

std::vector<std::string> CompletedProgram::command_names() const {
  std::vector<std::string> names;
  for (const CompletedCommand& command : commands) {
    if (!command.name.empty()) names.push_back(command.name);
  }
  return names;
}

std::string completion_script(const CompletedProgram& program, Shell shell) {
  for (const ShellRow& row : kShells) {
    if (row.shell == shell) return row.script(program);
  }
  return {};
}

void add_completion_options(OptionTable& table, const std::function<void(Shell)>& set) {
  for (const ShellRow& row : kShells) {
    table.value({std::string(row.option)}, {}, std::string(row.help),
                [set, shell = row.shell](const std::string&, const std::string&) { set(shell); });
  }
}

std::string device_numbers(std::string_view program) {
  return fmt::format(R"({} --list-devices 2> /dev/null | sed -n 's/^ *\*\{{0,1\}}\([0-9][0-9]*\) .*/\1/p')", program);
}

}  // namespace gguf_fuse::cli
