// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "failure.hpp"
#include "gguf_fuse/loader/error.hpp"

namespace gguf_fuse::cli {

/// How errors are printed. A program refines it as it understands its command line.
struct ErrorStyle {
  bool json = false;
  bool to_stderr = false;  ///< JSON too: standard output belongs to the data
  bool in_array = false;   ///< JSON as the only element of an array: what the program prints is one
  std::string help{};      ///< what has a --help about a wrong command line: "gguf-fuse plan"
};

/// A program's own work; `arguments` without its name. Returns the exit code, throws UsageError.
using Body = std::function<Result<int>(const std::vector<std::string>& arguments, ErrorStyle& style)>;

/// What an error means to the user; after a signal whatever error follows is an interruption.
[[nodiscard]] Failure failure_of(const Error& error);

/// A whole program called `name`: runs its body, prints every error and returns the exit code.
[[nodiscard]] int run_framed(std::string_view name, int argc, char** argv, const Body& body);

}  // namespace gguf_fuse::cli
