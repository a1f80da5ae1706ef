// SPDX-License-Identifier: MIT
#pragma once

#include "completion.hpp"
#include "run_options.hpp"

namespace gguf_fuse::cli {

/// What needs a second look when all options are known.
struct RawRunOptions {
  std::optional<std::string> file{}, binary_file{}, system_file{}, template_file{}, prompts_file{};
  std::string seed = "-1";
  std::string tokens{};  ///< --tokens
  bool escape = true;
  bool help = false, version = false;
  std::optional<Shell> completion{};
};

/// Every option of gguf-run; the table keeps references to both.
void add_run_options(OptionTable& table, RunOptions& options, RawRunOptions& raw);

}  // namespace gguf_fuse::cli
