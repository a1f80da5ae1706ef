// SPDX-License-Identifier: MIT
#include "driver_watch.hpp"
#include "explain_placement.hpp"
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

/// As text or, with --json, as an object.
Result<int> put_list(const RunOptions& options) {
  if (options.list_devices) {
    if (options.json) {
      GGUF_FUSE_ASSIGN(const Json devices, device_json());
      put_json(stdout, devices);
      return 0;
    }
    GGUF_FUSE_ASSIGN(const std::string devices, device_table(terminal_width(stdout)));
    put(stdout, devices);
    return 0;
  }
  GGUF_FUSE_ASSIGN(const ExplainedPlacement explained, explain_placement(options.engine));
  for (const std::string& note : explained.choice.notes) print_warning(note);
  for (const std::string& line : idle_override_texts(options.engine.overrides, explained.placement)) {
    print_warning(line);
  }
  if (options.json) {
    put_json(stdout, placement_json(explained));
  } else {
    put(stdout, placement_text(explained, terminal_width(stdout)));
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
  const bool lists = line.options->list_devices || line.options->explain_placement;
  return lists ? put_list(*line.options) : run_command(*line.options);
}

}  // namespace

int main(int argc, char** argv) { return gguf_fuse::cli::run_framed("gguf-run", argc, argv, run); }
