// SPDX-License-Identifier: MIT
#pragma once

#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "gguf_fuse/loader/error.hpp"
#include "json_output.hpp"

namespace gguf_fuse::cli {

/// What the user is told when something went wrong, and how the program ends.
struct Failure {
  int exit_code = 1;
  std::string code;  ///< the error's name, e.g. BadMagic
  std::string kind;
  std::string message;
  std::string advice{};            ///< a second line, for people only
  std::optional<Error> details{};  ///< for --json
};

/// `signal` is the one that interrupted, if any.
[[nodiscard]] Failure command_failure(const Error& error, int signal);
/// `command` is what has a --help about it: "gguf-fuse", "gguf-fuse plan".
[[nodiscard]] Failure usage_failure(std::string_view message, std::string_view command);
[[nodiscard]] Failure internal_failure(std::string_view message);
/// Standard output could not be written.
[[nodiscard]] Failure output_failure(int error_number);

/// {"error": {"code", "kind", "message", ..., "exit_code"}}
[[nodiscard]] Json failure_json(const Failure& failure);
void print_failure(const Failure& failure, bool json, std::FILE* stream);

}  // namespace gguf_fuse::cli
