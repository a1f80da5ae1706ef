// SPDX-License-Identifier: MIT
#include "options.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include "fuse_option_table.hpp"
#include "gguf_fuse/loader/error.hpp"
#include "help.hpp"
#include "suggest.hpp"
#include "values.hpp"

namespace gguf_fuse::cli {
namespace {

bool looks_like_file(const std::string& word) {
  return word == "-" || word.find_first_of("./") != std::string::npos || access(word.c_str(), F_OK) == 0;
}

/// Removes the command's name from the arguments; without one they are convert's. Throws UsageError for a word that is
/// neither a command nor looks like a file.
const CommandRow& take_command(std::vector<std::string>& arguments) {
  Options unused;
  const std::size_t index = fuse_option_table(Command::Convert, unused).first_word(arguments);
  if (index == arguments.size()) return command_row(Command::Convert);
  const std::string word = arguments[index];
  if (const CommandRow* row = find_command(word)) {
    arguments.erase(arguments.begin() + static_cast<std::ptrdiff_t>(index));
    return *row;
  }
  if (looks_like_file(word)) return command_row(Command::Convert);
  const std::string suggestion = did_you_mean(word, command_names());
  throw UsageError(fmt::format(
      "unknown command \"{}\"{}", escape_text(word),
      suggestion.empty() ? fmt::format("; the commands are {}", fmt::join(command_names(), ", ")) : suggestion));
}

void take_words(const CommandRow& row, const std::vector<std::string>& words, Options& options) {
  const std::size_t wanted = row.arguments.size();
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i].empty()) throw UsageError("an argument is empty");
    if (i < wanted) continue;
    throw UsageError(fmt::format("unexpected argument \"{}\": {} takes {}", escape_text(words[i]), row.name,
                                 wanted == 0 ? "none" : fmt::format("{}", fmt::join(row.arguments, " "))));
  }
  if (words.size() < wanted && !options.show_types) {
    throw UsageError(fmt::format("{} is missing: gguf-fuse {} {}", row.arguments[words.size()], row.name,
                                 fmt::join(row.arguments, " ")));
  }
  if (!words.empty()) options.request.input = words[0];
  if (words.size() > 1) (row.command == Command::Verify ? options.original : options.request.output) = words[1];
  if (options.request.input == "-" && options.original == "-") {
    throw UsageError("only one of FUSED and ORIGINAL can be standard input");
  }
}

/// Texts that are asked for without a command; nothing when it is not one of them.
std::string requested_text(const std::vector<std::string>& arguments) {
  const std::string& first = arguments.front();
  if (arguments.size() > 1 && (first == "help" || first == "-h" || first == "--help")) {
    if (const CommandRow* row = find_command(arguments[1])) return command_help(*row);
  }
  if (first == "help") return program_help();
  std::string text;
  const OptionTable table = program_option_table(text);
  if (table.has(first)) table.apply(table.read({first}), "gguf-fuse");
  return text;
}

}  // namespace

CommandLine parse_command_line(std::vector<std::string> arguments) {
  if (arguments.empty()) throw UsageError("what to do? gguf-fuse IN OUT fuses a model");
  if (std::string text = requested_text(arguments); !text.empty()) return {.text = std::move(text)};
  const CommandRow& row = take_command(arguments);
  CommandLine line;
  Options& options = line.options.emplace();
  const OptionTable table = fuse_option_table(row.command, options);
  const GivenArguments given = table.read(arguments);
  if (given.has("--help")) return {.text = command_help(row)};
  line.warnings = table.apply(given, row.name);
  take_words(row, given.words, options);
  const SplitOptions& split = options.request.fuse.split;
  if (split.keep && (split.max_bytes != 0 || split.max_tensors != 0)) {
    throw UsageError("--keep-split cuts where the input is cut; leave out the other --split options");
  }
  return line;
}

}  // namespace gguf_fuse::cli
