// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "completion.hpp"

namespace gguf_fuse::cli {
namespace {

// {0} is the program, {1} its identifier, {2} what prints the numbers of devices, {3} commands with their summaries.
constexpr std::string_view kHelpers = R"sh(#compdef {0}
# zsh completion, printed by {0} --completion-zsh

_{1}_devices() {{ _values -s , device $@ ${{(f)"$({2})"}} }}

_{1}_model() {{ _files "$@" -g '*.gguf(|.gz)' }}

_{1}_first() {{
  local -a commands=({3})
  (( CURRENT == 2 && $#commands )) && _describe -t commands command commands
  _{1}_model "$@"
}}
)sh";

constexpr std::string_view kBegin = R"sh(
_{0}() {{
  local command='' word
  for word in ${{words[2,CURRENT-1]}}; do
    if [[ ' {1} ' == *" $word "* ]]; then
      command=$word
      break
    fi
  done
  case $command in
)sh";

// Sourced, the function has to be made known; autoloaded, the file itself is called, by the name _{1}.
constexpr std::string_view kEnd = R"sh(  esac
}}

if [[ $funcstack[1] == _{1} ]]; then _{0} "$@"; else compdef _{0} {1}; fi
)sh";

/// `text` within single quotes, with a backslash before each of `special`.
std::string escaped(std::string_view text, std::string_view special) {
  std::string out;
  for (const char byte : text) {
    if (special.find(byte) != std::string_view::npos) out += '\\';
    out += byte == '\'' ? std::string("'\\''") : std::string(1, byte);
  }
  return out;
}

std::string action(const Values& values, const std::string& identifier) {
  switch (values.kind) {
    case Values::Kind::Words:
      return values.list ? fmt::format("_values -s , value {}", fmt::join(values.words, " "))
                         : fmt::format("({})", fmt::join(values.words, " "));
    case Values::Kind::File:
      return "_files";
    case Values::Kind::Model:
      return fmt::format("_{}_model", identifier);
    case Values::Kind::Devices:
      // without the blank _arguments would put arguments of its own before the words
      return fmt::format(" _{}_devices {}", identifier, fmt::join(values.words, " "));
    case Values::Kind::Any:
    case Values::Kind::Text:
      break;
  }
  return " ";
}

/// What _arguments is told of an option, a line a name.
std::string specifications(const OptionRow& row, const std::string& identifier) {
  std::vector<std::string> names = row.names;
  names.insert(names.end(), row.opposites.begin(), row.opposites.end());
  const std::string others = row.repeatable ? "*" : fmt::format("({})", fmt::join(names, " "));
  const std::string value =
      row.is_flag() ? "" : fmt::format(":{}:{}", escaped(row.word, ":\\"), action(row.values, identifier));
  std::string out;
  for (const std::string& name : names) {
    const bool equals = !row.is_flag() && name.starts_with("--");
    out +=
        fmt::format("        '{}{}{}[{}]{}' \\\n", others, name, equals ? "=" : "", escaped(row.help, "[]:\\"), value);
  }
  return out;
}

}  // namespace

std::string zsh_completion(const CompletedProgram& program) {
  const std::string identifier = program.identifier();
  std::string summaries, cases;
  for (const CompletedCommand& command : program.commands) {
    std::string specs;
    for (const OptionRow* const row : command.rows) specs += specifications(*row, identifier);
    if (!command.name.empty()) summaries += fmt::format(" '{}:{}'", command.name, escaped(command.summary, ":\\"));
    const std::string words =
        command.name.empty() ? fmt::format("_{}_first", identifier) : action(command.arguments, identifier);
    cases += fmt::format("    '{}')\n      _arguments \\\n{}        '*:argument:{}' ;;\n", command.name, specs, words);
  }
  return fmt::format(kHelpers, program.name, identifier, device_numbers("$words[1]"), summaries) +
         fmt::format(kBegin, identifier, fmt::join(program.command_names(), " ")) + cases +
         fmt::format(kEnd, identifier, program.name);
}

}  // namespace gguf_fuse::cli
