// SPDX-License-Identifier: MIT
#include "commands.hpp"
#include "frame.hpp"
#include "help.hpp"
#include "options.hpp"
#include "print.hpp"

namespace {

using namespace gguf_fuse;
using namespace gguf_fuse::cli;

Result<void> run_command(const Options& options) {
  switch (options.command) {
    case Command::Convert:
    case Command::Unfuse:
      return convert_command(options);
    case Command::Plan:
      return plan_command(options);
    case Command::Inspect:
      return inspect_command(options);
    case Command::Verify:
      return verify_command(options);
    case Command::Hash:
      return hash_command(options);
    case Command::Targets:
      return targets_command(options);
  }
  return {};
}

Result<int> run(const std::vector<std::string>& arguments, ErrorStyle& style) {
  const CommandRow* row = arguments.empty() ? nullptr : find_command(arguments.front());
  if (row != nullptr) style.help += " " + std::string(row->name);
  const CommandLine line = parse_command_line(arguments);
  if (!line.options) {
    put(stdout, line.text);
    return 0;
  }
  for (const std::string& warning : line.warnings) print_warning(warning);
  style.json = line.options->json;
  style.to_stderr = line.options->request.output == "-";
  GGUF_FUSE_CHECK(run_command(*line.options));
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return gguf_fuse::cli::run_framed("gguf-fuse", argc, argv, run); }
