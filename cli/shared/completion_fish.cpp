// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "completion.hpp"

namespace gguf_fuse::cli {
namespace {

std::string quoted(std::string_view text) {
  std::string out = "'";
  for (const char byte : text) {
    if (byte == '\'' || byte == '\\') out += '\\';
    out += byte;
  }
  return out + "'";
}

/// What a value may be; -x: no files beside it.
std::string arguments_of(const Values& values, const std::string& program) {
  constexpr std::string_view kModels = "-x -k -a '(__fish_complete_suffix .gguf)'";
  const std::string words = fmt::format("{}", fmt::join(values.words, " "));
  switch (values.kind) {
    case Values::Kind::Words:
      return values.list ? fmt::format("-x -a {}", quoted(fmt::format("(__fish_append , {})", words)))
                         : "-x -a " + quoted(words);
    case Values::Kind::File:
      return "-r -F";
    case Values::Kind::Model:
      return std::string(kModels);
    case Values::Kind::Devices:
      return "-x -a " + quoted(fmt::format("(__fish_append , {} ({}))", words, device_numbers(program)));
    case Values::Kind::Any:
    case Values::Kind::Text:
      break;
  }
  return "-x";
}

/// -s n -o ngl -l predict: one letter, several behind one dash, two dashes.
std::string spelling(std::string_view name) {
  if (name.starts_with("--")) return fmt::format(" -l {}", name.substr(2));
  return fmt::format(" -{} {}", name.size() == 2 ? 's' : 'o', name.substr(1));
}

std::string line(const std::string& begin, const std::vector<std::string>& names, const OptionRow& row,
                 const std::string& program) {
  std::string out = begin;
  for (const std::string& name : names) out += spelling(name);
  if (!row.is_flag()) out += " " + arguments_of(row.values, program);
  return out + fmt::format(" -d {}\n", quoted(row.help));
}

std::string command_lines(const CompletedCommand& command, const CompletedProgram& program) {
  const std::string complete = fmt::format("complete -c {}", program.name);
  std::string begin = complete, out;
  if (!command.name.empty()) {
    begin += fmt::format(" -n '__fish_seen_subcommand_from {}'", command.name);
    out +=
        fmt::format("\n{} -n __fish_use_subcommand -f -a {} -d {}\n", complete, command.name, quoted(command.summary));
  } else if (const auto names = program.command_names(); !names.empty()) {
    begin += fmt::format(" -n 'not __fish_seen_subcommand_from {}'", fmt::join(names, " "));
  }
  out +=
      fmt::format("{} {}\n", begin,
                  command.arguments.kind == Values::Kind::Any ? "-f" : arguments_of(command.arguments, program.name));
  for (const OptionRow* const row : command.rows) {
    out += line(begin, row->names, *row, program.name);
    if (!row->opposites.empty()) out += line(begin, row->opposites, *row, program.name);
  }
  return out;
}

}  // namespace

std::string fish_completion(const CompletedProgram& program) {
  std::string out = fmt::format("# fish completion, printed by {} --completion-fish\n", program.name);
  for (const CompletedCommand& command : program.commands) out += command_lines(command, program);
  return out;
}

}  // namespace gguf_fuse::cli
