// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "option_table.hpp"

namespace gguf_fuse::cli {

enum class Shell : std::uint8_t { Bash, Zsh, Fish };

/// A command as a shell completes it.
struct CompletedCommand {
  std::string name{};  ///< empty: what the program does without a command
  std::string summary{};
  std::vector<const OptionRow*> rows{};
  Values arguments{};
};

struct CompletedProgram {
  std::string name{};
  std::vector<CompletedCommand> commands{};  ///< the one without a name first

  /// gguf_fuse for gguf-fuse: what a function may be called.
  [[nodiscard]] std::string identifier() const;
  [[nodiscard]] std::vector<std::string> command_names() const;
};

/// The script that a shell sources to complete the program's command lines.
[[nodiscard]] std::string completion_script(const CompletedProgram& program, Shell shell);

/// --completion-bash (llama.cpp's name), --completion-zsh and --completion-fish.
void add_completion_options(OptionTable& table, const std::function<void(Shell shell)>& set);

// One of each shell, for completion_script.
[[nodiscard]] std::string bash_completion(const CompletedProgram& program);
[[nodiscard]] std::string zsh_completion(const CompletedProgram& program);
[[nodiscard]] std::string fish_completion(const CompletedProgram& program);

/// The command that prints the numbers of devices, a line each; `program` is how the shell calls the program.
[[nodiscard]] std::string device_numbers(std::string_view program);

}  // namespace gguf_fuse::cli
