// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "foreign_options.hpp"

namespace gguf_fuse::cli {

/// What may follow an option, or be an argument of a command: what shells complete.
struct Values {
  enum class Kind : std::uint8_t {
    Any,      ///< numbers and the like; what a shell cannot guess
    Text,     ///< the same, and it may be empty
    Words,    ///< one of `words`
    File,     ///< the name of any file
    Model,    ///< the name of a GGUF file
    Devices,  ///< devices as --list-devices of the same program tells them, or one of `words`
  };
  Kind kind = Kind::Any;
  std::vector<std::string> words{};
  bool list = false;  ///< several of them, between commas
};

/// An option of a program. llama.cpp's names have several letters after one dash (-ngl), which no parser
/// of the usual kind reads; so a table and a walk over it do the work.
struct OptionRow {
  std::string group{};
  std::vector<std::string> names{};      ///< -n, --predict, ...: shorts first
  std::vector<std::string> opposites{};  ///< of a flag: names that turn it off
  std::string word{};                    ///< what follows; empty: a flag
  std::string help{};
  Values values{};
  std::string environment{};  ///< LLAMA_ARG_CTX_SIZE; empty: none
  bool repeatable = false;
  unsigned commands = 0;  ///< bits of the commands that know it
  /// Gets the name that was used and the value; of a flag "1" or "0". Throws UsageError.
  std::function<void(const std::string& name, const std::string& value)> set{};

  [[nodiscard]] bool is_flag() const { return word.empty(); }
  OptionRow& takes(Values what) {
    values = std::move(what);
    return *this;
  }
};

/// One option as given.
struct GivenOption {
  const OptionRow* row = nullptr;
  std::string name{};
  std::string value{};
};

struct GivenArguments {
  std::vector<GivenOption> options{};
  std::vector<std::string> words{};  ///< what is no option
  std::vector<std::string> idle{};   ///< flags of other programs that have no effect here, with the reason

  [[nodiscard]] bool has(std::string_view name) const;
};

class OptionTable {
 public:
  static constexpr unsigned kAll = ~0U;

  /// Options that follow belong to this group of the help, and to these commands.
  void begin_group(std::string group, unsigned commands);
  /// References stay valid until the next row is added.
  OptionRow& value(std::vector<std::string> names, std::string word, std::string help,
                   std::function<void(const std::string& name, const std::string& value)> set);
  OptionRow& flag(std::vector<std::string> names, std::string help, bool& target);
  /// One of `words`; `set` gets its index.
  OptionRow& choice(std::vector<std::string> names, std::string word, std::string help, std::vector<std::string> words,
                    std::function<void(std::size_t index)> set);

  /// Takes -nf and -t4 for -n -f and -t 4 where no option has that name.
  void join_letters() { letters_ = true; }

  /// Flags that are not in the table, but in those of other programs.
  void know_others(ForeignOptions others) { others_ = std::move(others); }

  /// Splits arguments into options and words: `_` in long names is `-`, --name=value and -n=value are one argument,
  /// `--` ends the options. Nothing is set yet. Throws UsageError for unknown options and missing or surplus values.
  [[nodiscard]] GivenArguments read(const std::vector<std::string>& arguments) const;
  /// The index of the first argument that is neither an option nor an option's value; options of other tables are taken
  /// for flags.
  [[nodiscard]] std::size_t first_word(const std::vector<std::string>& arguments) const;

  /// Sets what the environment says, then what was given. Returns warnings. Throws UsageError for wrong values, and for
  /// options that none of `commands` knows; `command` is its name.
  std::vector<std::string> apply(const GivenArguments& given, std::string_view command, unsigned commands = kAll) const;

  [[nodiscard]] bool has(const std::string& name) const;
  /// The options that one of `commands` knows.
  [[nodiscard]] std::vector<const OptionRow*> rows(unsigned commands = kAll) const;

  /// The groups of options that one of `commands` knows, for --help.
  [[nodiscard]] std::string help(unsigned commands = kAll) const;

 private:
  struct Match {
    const OptionRow* row = nullptr;
    bool opposite = false;
  };
  [[nodiscard]] Match find(const std::string& name) const;
  [[nodiscard]] std::vector<std::string> all_names() const;
  [[nodiscard]] std::string value_behind(const std::vector<std::string>& arguments, std::size_t& at,
                                         const std::string& name, const OptionRow& row) const;
  [[nodiscard]] bool read_letters(const std::vector<std::string>& arguments, std::size_t& at,
                                  GivenArguments& given) const;
  void read_option(const std::vector<std::string>& arguments, std::size_t& at, GivenArguments& given) const;
  void apply_environment(const GivenArguments& given, unsigned commands, std::vector<std::string>& warnings) const;

  std::vector<OptionRow> rows_;
  std::string group_;
  unsigned commands_ = 0;
  bool letters_ = false;
  std::optional<ForeignOptions> others_;
};

}  // namespace gguf_fuse::cli
