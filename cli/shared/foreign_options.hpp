// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gguf_fuse::cli {

/// What a flag of another program means to ours.
enum class Verdict : std::uint8_t {
  Same,      ///< our option table has it, with the same meaning
  Harmless,  ///< taken with a warning: what it asks for changes no result here, or is so already
  Missing,   ///< refused, unless its value asks for what is so already
};

/// Flags that llama.cpp or a program near it has. Facts of their sources: names, values and variables.
struct ForeignRow {
  std::string_view names;  ///< separated by spaces
  /// What follows each: nothing, "N" (one value), "START END" (two), or "[on|off]" (one of these words, or nothing).
  std::string_view word;
  Verdict verdict;
  std::string_view note;              ///< Harmless: why nothing is lost; Missing: what to do instead
  std::string_view idle_values = {};  ///< of a Missing row: values that ask for what is so already, "1" or "none|layer"
  std::string_view environment = {};  ///< variables that do the same, separated by spaces
};

/// The flags of one other program.
struct ForeignTable {
  std::string_view program;  ///< "llama.cpp"
  std::span<const ForeignRow> rows;
};

/// Flags of other programs as they are met on a command line.
class ForeignOptions {
 public:
  /// `own` is the name of our program. The tables must outlive it.
  ForeignOptions(std::string_view own, std::vector<ForeignTable> tables) : own_(own), tables_(std::move(tables)) {}

  /// Whether a flag is in one of the tables, and not one of ours.
  [[nodiscard]] bool has(std::string_view name) const;
  /// Takes arguments[at], which is `name` and what may stand behind its '=', and the values that belong to it; `at` is
  /// left at the last of them. What has no effect is added to `idle`. Throws UsageError for what is missing.
  void take(const std::vector<std::string>& arguments, std::size_t& at, std::string_view name,
            std::vector<std::string>& idle) const;
  /// The same for the variables of the environment.
  void take_environment(std::vector<std::string>& idle) const;

  /// All rows as a Markdown table.
  [[nodiscard]] std::string markdown() const;
  [[nodiscard]] const std::vector<ForeignTable>& tables() const { return tables_; }

 private:
  struct Match {
    const ForeignTable* table = nullptr;
    const ForeignRow* row = nullptr;
  };
  [[nodiscard]] Match find(std::string_view name) const;
  void judge(const Match& match, std::string_view name, std::string_view value, std::vector<std::string>& idle) const;

  std::string_view own_;
  std::vector<ForeignTable> tables_;
};

/// The parts of `text` between separators, without empty ones.
[[nodiscard]] std::vector<std::string_view> split_words(std::string_view text, char separator);

}  // namespace gguf_fuse::cli
