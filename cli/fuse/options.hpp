// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gguf_fuse/fuse/convert.hpp"
#include "namespace.hpp"

namespace gguf_fuse::cli {

enum class Command : std::uint8_t { Convert, Unfuse, Plan, Inspect, Verify, Hash, Targets };

/// What the command line asks for, checked and converted.
struct Options {
  Command command = Command::Convert;
  ConvertRequest request;  ///< input, output, target, threads, ... for every command that knows them
  std::string original;    ///< verify: what the input is compared with
  bool json = false;
  bool quiet = false;
  bool explain = false;
  bool show_keys = false;
  bool show_tensors = false;
  bool show_types = false;
  bool markdown = false;

  [[nodiscard]] bool shows_progress() const { return !quiet && !json; }
};

struct CommandLine {
  std::optional<Options> options{};
  std::string text{};  ///< help or version, where that was asked for instead
  std::vector<std::string> warnings{};
};

/// Throws UsageError.
[[nodiscard]] CommandLine parse_command_line(std::vector<std::string> arguments);

}  // namespace gguf_fuse::cli
