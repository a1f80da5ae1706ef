// SPDX-License-Identifier: MIT
#include "arguments.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "gguf_fuse/loader/error.hpp"
#include "option_set.hpp"
#include "suggest.hpp"
#include "values.hpp"

namespace gguf_fuse::cli {
namespace {

bool is_option(std::string_view argument) { return argument.size() > 1 && argument[0] == '-'; }

/// `--split_max_size=1G` as `--split-max-size=1G`.
std::string with_hyphens(std::string argument) {
  if (argument.compare(0, 2, "--") != 0) return argument;
  const auto end = argument.begin() + static_cast<std::ptrdiff_t>(std::min(argument.find('='), argument.size()));
  std::replace(argument.begin(), end, '_', '-');
  return argument;
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

/// Walks one command's arguments; each method looks at arguments_[at_] and may advance.
class Checker {
 public:
  Checker(const CommandRow& row, const CLI::App& app, std::vector<std::string> arguments)
      : row_(row), app_(app), arguments_(std::move(arguments)) {}

  std::vector<std::string> run() {
    for (; at_ < arguments_.size(); ++at_) {
      std::string& argument = arguments_[at_];
      if (options_end_ || !is_option(argument)) {
        check_word(argument);
      } else if (argument == "--") {
        options_end_ = true;
      } else if (argument[1] == '-') {
        argument = with_hyphens(std::move(argument));
        check_long();
      } else {
        check_short();
      }
    }
    return std::move(arguments_);
  }

 private:
  void check_word(const std::string& word) {
    if (word.empty()) throw UsageError("an argument is empty");
    if (++words_ <= row_.arguments.size()) return;
    throw UsageError(fmt::format("unexpected argument \"{}\": {} takes {}", escape_text(word), row_.name,
                                 row_.arguments.empty() ? "none" : fmt::format("{}", fmt::join(row_.arguments, " "))));
  }

  void check_long() {
    const std::string argument = arguments_[at_];
    const std::size_t equals = argument.find('=');
    const std::string name = argument.substr(0, equals);
    const CLI::Option* option = app_.get_option_no_throw(name);
    if (option == nullptr) throw unknown(name, name);
    if (equals == std::string::npos) return take_value(*option, name);
    if (!takes_value(*option)) throw UsageError(fmt::format("option {} takes no value", name));
    if (equals + 1 == argument.size()) throw missing_value(*option, name);
  }

  /// -f, -t4, -nf, -t 4
  void check_short() {
    const std::string argument = arguments_[at_];
    for (std::size_t i = 1; i < argument.size(); ++i) {
      const std::string name{'-', argument[i]};
      const CLI::Option* option = app_.get_option_no_throw(name);
      if (option == nullptr) throw unknown(argument, "-" + argument);
      if (!takes_value(*option)) continue;
      if (i + 1 == argument.size()) take_value(*option, name);
      return;
    }
  }

  void take_value(const CLI::Option& option, const std::string& name) {
    if (!takes_value(option)) return;
    if (at_ + 1 == arguments_.size()) throw missing_value(option, name);
    const std::string& value = arguments_[at_ + 1];
    const bool negative = value.size() > 1 && value[0] == '-' && value[1] >= '0' && value[1] <= '9';
    if (value.empty() || (is_option(value) && !negative)) throw missing_value(option, name);
    // the parser would take a negative number for an option, and so not say what is wrong with it
    if (negative) {
      throw UsageError(fmt::format("{} \"{}\": the value must not be negative", name, escape_text(value)));
    }
    ++at_;
  }

  [[nodiscard]] UsageError missing_value(const CLI::Option& option, const std::string& name) const {
    return UsageError(fmt::format("option {} needs a value: {} {}", name, name, option.get_type_name()));
  }

  [[nodiscard]] UsageError unknown(const std::string& name, const std::string& guess) const {
    return UsageError(fmt::format("unknown option {}{}", escape_text(name), did_you_mean(guess, option_names(app_))));
  }

  const CommandRow& row_;
  const CLI::App& app_;
  std::vector<std::string> arguments_;
  std::size_t at_ = 0;
  std::size_t words_ = 0;
  bool options_end_ = false;
};

/// The index of the first argument that is neither an option nor an option's value.
std::size_t first_word(const std::vector<std::string>& arguments) {
  RawOptions raw;
  const auto app = option_parser(command_row(Command::Convert), raw);
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (!is_option(arguments[i])) return i;
    if (arguments[i] == "--") break;
    const CLI::Option* option = app->get_option_no_throw(with_hyphens(arguments[i]));
    if (option != nullptr && takes_value(*option)) ++i;
  }
  return arguments.size();
}

bool looks_like_file(const std::string& word) {
  return word == "-" || word.find_first_of("./") != std::string::npos || access(word.c_str(), F_OK) == 0;
}

}  // namespace

const CommandRow& take_command(std::vector<std::string>& arguments) {
  const CommandRow& convert = command_row(Command::Convert);
  const std::size_t index = first_word(arguments);
  if (index == arguments.size()) return convert;
  const std::string word = arguments[index];
  if (const CommandRow* row = find_command(word)) {
    arguments.erase(arguments.begin() + static_cast<std::ptrdiff_t>(index));
    return *row;
  }
  if (looks_like_file(word)) return convert;
  const std::string suggestion = did_you_mean(word, command_names());
  throw UsageError(fmt::format(
      "unknown command \"{}\"{}", escape_text(word),
      suggestion.empty() ? fmt::format("; the commands are {}", fmt::join(command_names(), ", ")) : suggestion));
}

std::vector<std::string> checked_arguments(const CommandRow& row, const CLI::App& app,
                                           std::vector<std::string> arguments) {
  return Checker(row, app, std::move(arguments)).run();
}

}  // namespace gguf_fuse::cli
