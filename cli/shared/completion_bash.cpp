// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "completion.hpp"

namespace gguf_fuse::cli {
namespace {

// {0} is the program, {1} its identifier, {2} what prints the numbers of devices. Candidates are read line by line, so
// that names of files may hold spaces.
constexpr std::string_view kHelpers = R"sh(# bash completion, printed by {0} --completion-bash

_{1}_add() {{
  mapfile -t -O "${{#COMPREPLY[@]}}" COMPREPLY < <(compgen "$@")
}}

_{1}_values() {{
  case $1 in
    words) _{1}_add -W "$2" -- "$cur" ;;
    list) _{1}_add -P "${{cur%"${{cur##*[,/]}}"}}" -W "$2" -- "${{cur##*[,/]}}" ;;
    devices) _{1}_values list "${{2-}} $({2})" ;;
    file)
      compopt -o filenames 2> /dev/null
      _{1}_add -f -- "$cur"
      ;;
    model)
      # folders are kept, so that one can walk down to a model
      compopt -o filenames 2> /dev/null
      _{1}_add -d -- "$cur"
      _{1}_add -f -X '!*.gguf' -- "$cur"
      _{1}_add -f -X '!*.gguf.gz' -- "$cur"
      ;;
  esac
}}
)sh";

// {0} are the commands; what stands behind fills in `options` and `argument`.
constexpr std::string_view kBegin = R"sh(
_{0}() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}} command='' options='' argument='' word
  COMPREPLY=()
  # bash takes --name=value for three words
  if [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then prev=${{COMP_WORDS[COMP_CWORD - 2]}}; fi
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    if [[ ' {1} ' == *" $word "* ]]; then
      command=$word
      break
    fi
  done
  case $command in
)sh";

constexpr std::string_view kEnd = R"sh(  esac
  if [[ $cur == -* ]]; then
    _{0}_values words "$options"
    return
  fi
  ((COMP_CWORD == 1)) && _{0}_values words '{1}'
  _{0}_values "$argument"
}}

complete -F _{0} {2}
)sh";

/// Empty: nothing that a shell could guess.
std::string_view kind_word(const Values& values) {
  switch (values.kind) {
    case Values::Kind::Words:
      return values.list ? "list" : "words";
    case Values::Kind::File:
      return "file";
    case Values::Kind::Model:
      return "model";
    case Values::Kind::Devices:
      return "devices";
    case Values::Kind::Any:
    case Values::Kind::Text:
      break;
  }
  return {};
}

std::string command_case(const CompletedCommand& command, const std::string& identifier) {
  std::string cases;
  std::vector<std::string> options, others;
  for (const OptionRow* const row : command.rows) {
    options.insert(options.end(), row->names.begin(), row->names.end());
    options.insert(options.end(), row->opposites.begin(), row->opposites.end());
    if (row->is_flag()) continue;
    const std::string_view kind = kind_word(row->values);
    if (kind.empty()) {
      others.insert(others.end(), row->names.begin(), row->names.end());
      continue;
    }
    cases += fmt::format("        {}) _{}_values {}", fmt::join(row->names, " | "), identifier, kind);
    if (!row->values.words.empty()) cases += fmt::format(" '{}'", fmt::join(row->values.words, " "));
    cases += "; return ;;\n";
  }
  if (!others.empty()) cases += fmt::format("        {}) return ;;\n", fmt::join(others, " | "));
  return fmt::format(
      "    '{}')\n      case $prev in\n{}      esac\n      options='{}'\n      argument='{}'\n      ;;\n", command.name,
      cases, fmt::join(options, " "), kind_word(command.arguments));
}

}  // namespace

std::string bash_completion(const CompletedProgram& program) {
  const std::string identifier = program.identifier();
  const std::string names = fmt::format("{}", fmt::join(program.command_names(), " "));
  std::string out = fmt::format(kHelpers, program.name, identifier, device_numbers("\"${COMP_WORDS[0]}\""));
  out += fmt::format(kBegin, identifier, names);
  for (const CompletedCommand& command : program.commands) out += command_case(command, identifier);
  return out + fmt::format(kEnd, identifier, names, program.name);
}

}  // namespace gguf_fuse::cli
