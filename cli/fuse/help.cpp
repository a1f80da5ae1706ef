// SPDX-License-Identifier: MIT
#include "help.hpp"

#include <fmt/format.h>

#include "fuse_option_table.hpp"
#include "gguf_fuse/loader/version.hpp"
#include "print.hpp"

namespace gguf_fuse::cli {
namespace {

// help2man reads these texts: "Usage:" first, headings that end in a colon, options indented by two with two spaces
// between the option and its description.
constexpr std::size_t kWidth = 100;
constexpr std::string_view kIndent = "  ";

std::string usage_line(const CommandRow& row) {
  std::string line = fmt::format("gguf-fuse {} [OPTIONS]", row.name);
  for (const std::string_view argument : row.arguments) line += fmt::format(" {}", argument);
  return line;
}

std::string paragraph(std::string_view text) {
  Table table({{""}});
  table.add({std::string(text)});
  return table.render(kWidth);
}

std::string_view argument_help(std::string_view argument) {
  if (argument == "OUT")
    return "the new file; NAME.gguf.gz is compressed, - is standard output, shards are named after it";
  if (argument == "FUSED") return "the fused model (or the other way round), as IN of convert";
  if (argument == "ORIGINAL") return "the model it was made from";
  return "a GGUF file, any one shard of a split model, a .gguf.gz, or - for standard input";
}

std::string option_lists(const CommandRow& row) {
  std::string out;
  Table arguments({{""}, {""}});
  for (const std::string_view argument : row.arguments) {
    arguments.add({std::string(argument), std::string(argument_help(argument))});
  }
  if (!arguments.empty()) out += "\nArguments:\n" + arguments.render(kWidth, kIndent);
  Options options;
  return out + fuse_option_table(row.command, options).help();
}

std::string example_lines(const std::vector<Example>& examples) {
  std::string out = "\nExamples:\n";
  for (const Example& example : examples) out += fmt::format("  {}\n      {}\n", example.command, example.what);
  return out;
}

constexpr std::string_view kExitStatus =
    "\nExit status:\n"
    "  0    done\n"
    "  1    the environment is at fault: a file cannot be read or written, the disk is full\n"
    "  2    the command line is wrong\n"
    "  3    the input is damaged or not a GGUF file\n"
    "  4    nothing can be fused (with --strict) or unfused\n"
    "  5    weights differ; with unfuse --strict: not the proven original\n"
    "  130  interrupted (SIGINT); 143 after SIGTERM. No partial file is left behind\n";

}  // namespace

std::string program_help() {
  std::string out = "Usage: gguf-fuse COMMAND [OPTIONS] ARGUMENTS\n   or: gguf-fuse [OPTIONS] IN OUT\n\n";
  out += paragraph(
      "Fuses the tensors of GGUF models, losslessly and reversibly: Q, K and V of a layer become one tensor, gate and "
      "up of its experts another. gguf-fuse IN OUT is short for gguf-fuse convert IN OUT.");
  Table list({{""}, {""}});
  for (const CommandRow& row : commands()) {
    std::string label(row.name);
    for (const std::string_view argument : row.arguments) label += fmt::format(" {}", argument);
    list.add({label, std::string(row.summary)});
  }
  out += "\nCommands:\n" + list.render(kWidth, kIndent);
  std::string unused;
  out += program_option_table(unused).help();
  out += example_lines({{"fuse, for llama.cpp", "gguf-fuse model.gguf fused.gguf"},
                        {"first see what would be fused, and why not", "gguf-fuse plan --explain model.gguf"},
                        {"get the original back, byte for byte", "gguf-fuse unfuse fused.gguf model.gguf"}});
  out += kExitStatus;
  return out;
}

std::string command_help(const CommandRow& row) {
  std::string out = "Usage: " + usage_line(row) + "\n";
  if (row.command == Command::Convert) out += "   or: gguf-fuse [OPTIONS] IN OUT\n";
  out += "\n" + paragraph(row.description) + option_lists(row);
  if (row.command == Command::Convert || row.command == Command::Unfuse) {
    out += "\n" + paragraph("SIZE: 500M and 4G are decimal as in llama.cpp, 64MiB is binary.");
  }
  return out + example_lines(row.examples);
}

std::string all_help() {
  std::string out = program_help();
  for (const CommandRow& row : commands()) {
    out += fmt::format("\n*{}*\n\n{}{}", usage_line(row), paragraph(row.description), option_lists(row));
  }
  return out;
}

std::string completion_text(Shell shell) {
  CompletedProgram program{.name = "gguf-fuse", .commands = {{}}};
  std::string unused_text;
  Options unused;
  const OptionTable own = program_option_table(unused_text);
  std::vector<OptionTable> tables;
  tables.reserve(commands().size());
  for (const CommandRow& row : commands()) {
    tables.push_back(fuse_option_table(row.command, unused));
    const auto kind = row.arguments.empty() ? Values::Kind::Any : Values::Kind::Model;
    program.commands.push_back({.name = std::string(row.name),
                                .summary = std::string(row.summary),
                                .rows = tables.back().rows(),
                                .arguments = {.kind = kind}});
    if (row.command != Command::Convert) continue;
    // without a command it is a conversion, or one of the program's own options
    program.commands.front() = program.commands.back();
    program.commands.front().name = {};
  }
  const auto has = [&](const OptionRow& row) { return tables.front().has(row.names.back()); };
  for (const OptionRow* const row : own.rows()) {
    if (!has(*row)) program.commands.front().rows.push_back(row);
  }
  return completion_script(program, shell);
}

std::string version_text() {
  return fmt::format("gguf-fuse {}\nMIT license: free to use, change and share, without warranty.\n", version);
}

}  // namespace gguf_fuse::cli
