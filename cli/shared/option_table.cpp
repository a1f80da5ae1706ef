// SPDX-License-Identifier: MIT
#include "option_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "gguf_fuse/loader/error.hpp"
#include "print.hpp"
#include "suggest.hpp"
#include "values.hpp"

namespace gguf_fuse::cli {
namespace {

UsageError needs_value(const std::string& name, const OptionRow& row) {
  return UsageError(fmt::format("option {} needs a value: {} {}", name, name, row.word));
}

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// The option's name in both spellings of llama.cpp: --ctx_size is --ctx-size.
std::string canonical(std::string name) {
  if (name.compare(0, 2, "--") == 0) std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

/// LLAMA_ARG_NO_PERF for LLAMA_ARG_PERF.
std::string negated(std::string environment) {
  constexpr std::string_view kPrefix = "LLAMA_ARG_";
  return environment.insert(kPrefix.size(), "NO_");
}

const char* environment_value(const std::string& name) {
  const char* value = name.empty() ? nullptr : std::getenv(name.c_str());
  return value != nullptr && *value != '\0' ? value : nullptr;
}

/// `-n, --predict, --n-predict N`
std::string label(const OptionRow& row) {
  std::string out = fmt::format("{}", fmt::join(row.names, ", "));
  if (row.names.front().compare(0, 2, "--") == 0) out = "    " + out;
  if (!row.opposites.empty()) out += fmt::format(", {}", fmt::join(row.opposites, ", "));
  return row.is_flag() ? out : out + " " + row.word;
}

}  // namespace

bool GivenArguments::has(std::string_view name) const {
  return std::any_of(options.begin(), options.end(),
                     [&](const GivenOption& option) { return contains(option.row->names, name); });
}

void OptionTable::begin_group(std::string group, unsigned commands) {
  group_ = std::move(group);
  commands_ = commands;
}

OptionRow& OptionTable::value(std::vector<std::string> names, std::string word, std::string help,
                              std::function<void(const std::string&, const std::string&)> set) {
  OptionRow& row = rows_.emplace_back();
  row.group = group_;
  row.commands = commands_;
  row.names = std::move(names);
  row.word = std::move(word);
  row.help = std::move(help);
  row.set = std::move(set);
  return row;
}

OptionRow& OptionTable::flag(std::vector<std::string> names, std::string help, bool& target) {
  return value(std::move(names), {}, std::move(help),
               [&target](const std::string&, const std::string& on) { target = on == "1"; });
}

OptionRow& OptionTable::choice(std::vector<std::string> names, std::string word, std::string help,
                               std::vector<std::string> words, std::function<void(std::size_t)> set) {
  Values values{.kind = Values::Kind::Words, .words = words};
  return value(std::move(names), std::move(word), std::move(help),
               [words = std::move(words), set = std::move(set)](const std::string& name, const std::string& text) {
                 set(parse_choice(name, text, words));
               })
      .takes(std::move(values));
}

OptionTable::Match OptionTable::find(const std::string& name) const {
  for (const OptionRow& row : rows_) {
    if (contains(row.names, name)) return {&row, false};
    if (contains(row.opposites, name)) return {&row, true};
  }
  return {};
}

bool OptionTable::has(const std::string& name) const { return find(canonical(name)).row != nullptr; }

std::vector<std::string> OptionTable::all_names() const {
  std::vector<std::string> names;
  for (const OptionRow& row : rows_) {
    names.insert(names.end(), row.names.begin(), row.names.end());
    names.insert(names.end(), row.opposites.begin(), row.opposites.end());
  }
  // any letter is near to any other
  std::erase_if(names, [](const std::string& name) { return name.size() == 2; });
  return names;
}

GivenArguments OptionTable::read(const std::vector<std::string>& arguments) const {
  GivenArguments given;
  bool options_end = false;
  for (std::size_t at = 0; at < arguments.size(); ++at) {
    const std::string& argument = arguments[at];
    if (options_end || argument.size() < 2 || argument[0] != '-') {
      given.words.push_back(argument);
    } else if (argument == "--") {
      options_end = true;
    } else {
      read_option(arguments, at, given);
    }
  }
  return given;
}

void OptionTable::read_option(const std::vector<std::string>& arguments, std::size_t& at, GivenArguments& given) const {
  const std::string& argument = arguments[at];
  const std::size_t equals = argument.find('=');
  const std::string name = canonical(argument.substr(0, equals));
  const Match match = find(name);
  if (match.row == nullptr) {
    if (read_letters(arguments, at, given)) return;
    if (others_ && others_->has(name)) return others_->take(arguments, at, name, given.idle);
    throw UsageError(fmt::format("unknown option {}{}", escape_text(name), did_you_mean(name, all_names())));
  }
  if (match.row->is_flag()) {
    if (equals != std::string::npos) throw UsageError(fmt::format("option {} takes no value", name));
    return given.options.push_back({match.row, name, match.opposite ? "0" : "1"});
  }
  if (equals == std::string::npos) {
    return given.options.push_back({match.row, name, value_behind(arguments, at, name, *match.row)});
  }
  const std::string value = argument.substr(equals + 1);
  if (value.empty() && match.row->values.kind != Values::Kind::Text) throw needs_value(name, *match.row);
  given.options.push_back({match.row, name, value});
}

/// As in llama.cpp a value may begin with a dash; the name of another option is no value.
std::string OptionTable::value_behind(const std::vector<std::string>& arguments, std::size_t& at,
                                      const std::string& name, const OptionRow& row) const {
  if (at + 1 == arguments.size() || find(canonical(arguments[at + 1])).row != nullptr) throw needs_value(name, row);
  return arguments[++at];
}

bool OptionTable::read_letters(const std::vector<std::string>& arguments, std::size_t& at,
                               GivenArguments& given) const {
  const std::string& argument = arguments[at];
  if (!letters_ || argument.starts_with("--")) return false;
  std::vector<GivenOption> options;
  for (std::size_t i = 1; i < argument.size(); ++i) {
    const std::string name{'-', argument[i]};
    const OptionRow* row = find(name).row;
    if (row == nullptr) return false;
    if (row->is_flag()) {
      options.push_back({row, name, "1"});
      continue;
    }
    const std::string rest = argument.substr(i + 1);
    options.push_back({row, name, rest.empty() ? value_behind(arguments, at, name, *row) : rest});
    break;
  }
  given.options.insert(given.options.end(), options.begin(), options.end());
  return true;
}

std::size_t OptionTable::first_word(const std::vector<std::string>& arguments) const {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i].size() < 2 || arguments[i][0] != '-') return i;
    if (arguments[i] == "--") break;
    const OptionRow* row = find(canonical(arguments[i])).row;
    if (row != nullptr && !row->is_flag()) ++i;
  }
  return arguments.size();
}

void OptionTable::apply_environment(const GivenArguments& given, unsigned commands,
                                    std::vector<std::string>& warnings) const {
  for (const OptionRow& row : rows_) {
    if (row.environment.empty() || (row.commands & commands) == 0) continue;
    const auto option = std::find_if(given.options.begin(), given.options.end(),
                                     [&row](const GivenOption& one) { return one.row == &row; });
    const std::vector<std::string> names =
        row.is_flag() ? std::vector{row.environment, negated(row.environment)} : std::vector{row.environment};
    for (const std::string& name : names) {
      const char* value = environment_value(name);
      if (value == nullptr) continue;
      if (option != given.options.end()) {
        warnings.push_back(fmt::format(
            "{} environment variable is set, but will be overwritten by command line argument {}", name, option->name));
      } else if (row.is_flag()) {
        row.set(name, parse_truth(name, value) == (name == row.environment) ? "1" : "0");
      } else {
        row.set(name, value);
      }
    }
  }
}

std::vector<std::string> OptionTable::apply(const GivenArguments& given, std::string_view command,
                                            unsigned commands) const {
  std::vector<std::string> warnings;
  apply_environment(given, commands, warnings);
  std::vector<std::string> idle = given.idle;
  if (others_) others_->take_environment(idle);
  if (!idle.empty()) warnings.push_back(fmt::format("no effect here: {}", fmt::join(idle, "; ")));
  std::vector<const OptionRow*> seen;
  for (const GivenOption& option : given.options) {
    if ((option.row->commands & commands) == 0) {
      throw UsageError(fmt::format("option {} does not belong to {}", option.name, command));
    }
    const auto times = std::count(seen.begin(), seen.end(), option.row);
    if (times == 1 && !option.row->repeatable && !option.row->is_flag()) {
      warnings.push_back(fmt::format("{} is given more than once; the last one counts", option.name));
    }
    seen.push_back(option.row);
    option.row->set(option.name, option.value);
  }
  return warnings;
}

std::vector<const OptionRow*> OptionTable::rows(unsigned commands) const {
  std::vector<const OptionRow*> rows;
  for (const OptionRow& row : rows_) {
    if ((row.commands & commands) != 0) rows.push_back(&row);
  }
  return rows;
}

std::string OptionTable::help(unsigned commands) const {
  // help2man reads it: headings that end in a colon, options indented by two with two spaces before the description
  constexpr std::size_t kWidth = 100;
  std::string out;
  const auto known = rows(commands);
  for (std::size_t first = 0; first < known.size();) {
    const std::string& group = known[first]->group;
    Table table({{""}, {""}});
    for (; first < known.size() && known[first]->group == group; ++first) {
      const OptionRow& row = *known[first];
      table.add({label(row), row.environment.empty() ? row.help : fmt::format("{} [{}]", row.help, row.environment)});
    }
    out += fmt::format("\n{}:\n{}", group, table.render(kWidth, "  "));
  }
  return out;
}

}  // namespace gguf_fuse::cli
