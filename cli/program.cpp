// SPDX-License-Identifier: MIT
#include "program.hpp"

#include <algorithm>
#include <cerrno>
#include <exception>

#include "commands.hpp"
#include "failure.hpp"
#include "options.hpp"
#include "print.hpp"
#include "signals.hpp"
#include "values.hpp"

namespace gguf_fuse::cli {
namespace {

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

/// Ctrl-C also ends whoever feeds a pipe, so that what arrives first may be an error about the pipe.
Failure failure_of(const Error& error) {
  const int signal = caught_signal();
  if (signal == 0 || error.kind() == ErrorKind::Interrupted) return command_failure(error, signal);
  return command_failure(Error{.code = ErrorCode::Interrupted}, signal);
}

/// Where errors are printed as JSON: standard output belongs to the data when the output is `-`.
struct ErrorStyle {
  bool json = false;
  bool to_stderr = false;
};

int report(const Failure& failure, const ErrorStyle& style) {
  print_failure(failure, style.json, style.json && !style.to_stderr ? stdout : stderr);
  return failure.exit_code;
}

int run(const std::vector<std::string>& arguments, ErrorStyle& style) {
  const CommandLine line = parse_command_line(arguments);
  if (!line.options) {
    put(stdout, line.text);
    return 0;
  }
  style = {line.options->json, line.options->request.output == "-"};
  const Result<void> result = run_command(*line.options);
  return result ? 0 : report(failure_of(result.error()), style);
}

}  // namespace

int run_program(const std::vector<std::string>& arguments) {
  ignore_write_signals();
  // before the command line is understood, a look at it has to do
  ErrorStyle style{std::find(arguments.begin(), arguments.end(), "--json") != arguments.end(), false};
  int code = 0;
  try {
    code = run(arguments, style);
  } catch (const UsageError& error) {
    code = report(usage_failure(error.what(), arguments), style);
  } catch (const std::exception& error) {
    // out of memory, or a defect of ours: either way a line and an exit code, not an abort
    code = report(internal_failure(error.what()), style);
  }
  if (finish_output()) return code;
  // whoever closed the pipe (head, less) knows; a full disk has to be told
  if (errno != EPIPE) print_failure(output_failure(errno), false, stderr);
  return code == 0 ? 1 : code;
}

}  // namespace gguf_fuse::cli
