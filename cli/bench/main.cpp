// SPDX-License-Identifier: MIT
#include "bench_output.hpp"
#include "driver_watch.hpp"
#include "frame.hpp"
#include "placement.hpp"
#include "print.hpp"
#include "signals.hpp"

namespace {

using namespace gguf_fuse;
using namespace gguf_fuse::cli;

/// The format that -o names, before the command line is understood: what is wrong with it is told in that format too.
std::string_view format_of(const std::vector<std::string>& arguments) {
  std::string_view format;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (argument.starts_with("--output=")) format = argument.substr(argument.find('=') + 1);
    if ((argument == "-o" || argument == "--output") && i + 1 < arguments.size()) format = arguments[i + 1];
  }
  return format;
}

Result<int> run(const std::vector<std::string>& arguments, ErrorStyle& style) {
  static Control control;  // signal handlers keep a pointer to it
  const std::string_view format = format_of(arguments);
  style.json = format == "json" || format == "jsonl";
  style.in_array = format == "json";
  const BenchCommandLine line = parse_bench_command_line(arguments);
  for (const std::string& warning : line.warnings) print_warning(warning);
  if (!line.options) {
    put(stdout, line.text);
    return 0;
  }
  watch_drivers(style);
  if (line.options->list_devices) {
    GGUF_FUSE_ASSIGN(const std::string devices, device_table(terminal_width(stdout)));
    put(stdout, devices);
    return 0;
  }
  cancel_on_signals(control, SecondSignal::Ends);
  BenchOutput output(*line.options);
  const auto measured = measure(*line.options, control, [&output](const BenchResult& result) { output.add(result); });
  // what was measured before an error or Ctrl-C is worth printing
  if (!measured && line.options->format == BenchFormat::JsonArray) {
    const Failure failure = failure_of(measured.error());
    output.finish(&failure);
    return failure.exit_code;
  }
  output.finish();
  GGUF_FUSE_CHECK(measured);
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return gguf_fuse::cli::run_framed("gguf-bench", argc, argv, run); }
