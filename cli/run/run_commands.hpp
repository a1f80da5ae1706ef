// SPDX-License-Identifier: MIT
#pragma once

#include "run_options.hpp"

namespace gguf_fuse::cli {

// Each runs one command, prints its result and returns the exit code; errors are printed by the caller.
[[nodiscard]] Result<int> generate_command(const RunOptions& options);  // and a conversation
[[nodiscard]] Result<int> eval_command(const RunOptions& options);
[[nodiscard]] Result<int> tokenize_command(const RunOptions& options);

}  // namespace gguf_fuse::cli
