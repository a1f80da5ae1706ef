// SPDX-License-Identifier: MIT
#pragma once

#include "command_table.hpp"
#include "option_table.hpp"

namespace gguf_fuse::cli {

/// The options that a command knows; the table keeps a reference to `options`. --help is for the caller to look for.
[[nodiscard]] OptionTable fuse_option_table(Command command, Options& options);

/// What can be asked for in place of a command; the table keeps a reference to `text`, which gets the answer.
[[nodiscard]] OptionTable program_option_table(std::string& text);

}  // namespace gguf_fuse::cli
