// SPDX-License-Identifier: MIT
#pragma once

#include "gguf_fuse/loader/error.hpp"
#include "options.hpp"

namespace gguf_fuse::cli {

// Each runs one command and prints its result; errors are printed by the caller.
[[nodiscard]] Result<void> convert_command(const Options& options);  // and unfuse
[[nodiscard]] Result<void> plan_command(const Options& options);
[[nodiscard]] Result<void> inspect_command(const Options& options);
[[nodiscard]] Result<void> verify_command(const Options& options);
[[nodiscard]] Result<void> hash_command(const Options& options);
[[nodiscard]] Result<void> targets_command(const Options& options);

}  // namespace gguf_fuse::cli
