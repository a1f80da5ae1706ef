// SPDX-License-Identifier: MIT
#include "frame.hpp"

#include <algorithm>
#include <cerrno>
#include <exception>
#include <new>
#include <system_error>

#include "failure.hpp"
#include "print.hpp"
#include "signals.hpp"
#include "values.hpp"

namespace gguf_fuse::cli {
namespace {

Error memory_error() {
  return {.code = ErrorCode::SystemFailed,
          .actual = "out of memory",
          .hint = "close other programs, or raise the limit of memory (ulimit -v)"};
}

int report(const Failure& failure, const ErrorStyle& style) {
  if (style.in_array) {
    put_json(stdout, Json::array({failure_json(failure)}));
  } else {
    print_failure(failure, style.json, style.json && !style.to_stderr ? stdout : stderr);
  }
  return failure.exit_code;
}

}  // namespace

Failure failure_of(const Error& error) {
  // Ctrl-C also ends whoever feeds a pipe, so that what arrives first may be an error about the pipe
  const int signal = caught_signal();
  if (signal == 0 || error.kind() == ErrorKind::Interrupted) return command_failure(error, signal);
  return command_failure(Error{.code = ErrorCode::Interrupted}, signal);
}

int run_framed(std::string_view name, int argc, char** argv, const Body& body) {
  ignore_write_signals();
  // execve allows an empty argv
  std::vector<std::string> arguments;
  if (argc > 0) arguments.assign(argv + 1, argv + argc);
  // before the command line is understood, a look at it has to do
  const bool json = std::find(arguments.begin(), arguments.end(), "--json") != arguments.end();
  ErrorStyle style{.json = json, .to_stderr = false, .help = std::string(name)};
  int code = 0;
  try {
    const Result<int> result = body(arguments, style);
    code = result ? *result : report(failure_of(result.error()), style);
  } catch (const UsageError& error) {
    code = report(usage_failure(error.what(), style.help), style);
  } catch (const std::bad_alloc&) {
    code = report(command_failure(memory_error(), 0), style);
  } catch (const std::system_error& error) {
    code = report(command_failure(system_error(ErrorCode::SystemFailed, {}, error.code().value()), 0), style);
  } catch (const std::exception& error) {
    // a defect of ours: a line and an exit code, not an abort
    code = report(internal_failure(error.what()), style);
  }
  if (finish_output()) return code;
  // whoever closed the pipe (head, less) knows; a full disk has to be told
  if (errno != EPIPE) print_failure(output_failure(errno), false, stderr);
  return code == 0 ? 1 : code;
}

}  // namespace gguf_fuse::cli
