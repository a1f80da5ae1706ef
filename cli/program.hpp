// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

namespace gguf_fuse::cli {

/// The whole program; `arguments` without its name. Prints every error and returns the exit code.
[[nodiscard]] int run_program(const std::vector<std::string>& arguments);

}  // namespace gguf_fuse::cli
