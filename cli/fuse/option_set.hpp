// SPDX-License-Identifier: MIT
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "command_table.hpp"

namespace gguf_fuse::cli {

/// Option values as typed; empty ones were not given.
struct RawOptions {
  std::string first, second;  ///< positional arguments
  std::string target, only, layers;
  std::string threads, max_memory, split_max_size, split_max_tensors, load_mode, copy;
  bool keep_split = false, dry_run = false, no_verify = false, force = false, strict = false;
  bool json = false, quiet = false, explain = false, keys = false, tensors = false, types = false, markdown = false;
};

/// Whether the option is followed by a value.
[[nodiscard]] inline bool takes_value(const CLI::Option& option) { return option.get_items_expected_min() > 0; }

/// The words of --target, --load-mode, --copy and --only; their order is that of enums and tables.
[[nodiscard]] std::vector<std::string> target_words();
[[nodiscard]] std::vector<std::string> load_mode_words();
[[nodiscard]] std::vector<std::string> copy_words();
[[nodiscard]] std::vector<std::string> only_words();

/// The options of one command. A parser of its own each: with CLI11's subcommands a file named `plan` would be one.
[[nodiscard]] std::unique_ptr<CLI::App> option_parser(const CommandRow& row, RawOptions& raw);

}  // namespace gguf_fuse::cli
