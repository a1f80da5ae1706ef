// SPDX-License-Identifier: MIT
#include "bench_output.hpp"
#include "frame.hpp"
#include "print.hpp"
#include "signals.hpp"

namespace {

using namespace gguf_fuse;
using namespace gguf_fuse::cli;

Result<int> run(const std::vector<std::string>& arguments, ErrorStyle& style) {
  static Control control;  // signal handlers keep a pointer to it
  const BenchCommandLine line = parse_bench_command_line(arguments);
  for (const std::string& warning : line.warnings) print_warning(warning);
  if (!line.options) {
    put(stdout, line.text);
    return 0;
  }
  style.json = false;
  cancel_on_signals(control, SecondSignal::Ends);
  BenchOutput output(*line.options);
  const auto measured = measure(*line.options, control, [&output](const BenchResult& result) { output.add(result); });
  output.finish();  // what was measured before an error or Ctrl-C is worth printing
  GGUF_FUSE_CHECK(measured);
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return gguf_fuse::cli::run_framed("gguf-bench", argc, argv, run); }
