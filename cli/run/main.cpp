// SPDX-License-Identifier: MIT
#include "driver_watch.hpp"
#include "frame.hpp"
#include "placement.hpp"
#include "print.hpp"
#include "run_commands.hpp"

namespace {

using namespace gguf_fuse;
using namespace gguf_fuse::cli;

Result<int> run_command(const RunOptions& options) {
  switch (options.command) {
    case Command::Generate:
      return generate_command(options);
    case Command::Eval:
      return eval_command(options);
    case Command::Tokenize:
      return tokenize_command(options);
  }
  return 0;
}

Result<int> run(const std::vector<std::string>& arguments, ErrorStyle& style) {
  GGUF_FUSE_ASSIGN(const RunCommandLine line, parse_run_command_line(arguments));
  for (const std::string& warning : line.warnings) print_warning(warning);
  if (!line.options) {
    put(stdout, line.text);
    return 0;
  }
  style.json = line.options->json;
  if (line.options->list_llama_flags) {
    put(stdout, run_foreign_options().markdown());
    return 0;
  }
  watch_drivers(style);
  if (!line.options->list_devices) return run_command(*line.options);
  if (line.options->json) {
    GGUF_FUSE_ASSIGN(const Json devices, device_json());
    put_json(stdout, devices);
    return 0;
  }
  GGUF_FUSE_ASSIGN(const std::string devices, device_table(terminal_width(stdout)));
  put(stdout, devices);
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return gguf_fuse::cli::run_framed("gguf-run", argc, argv, run); }
