// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "support/namespace.hpp"

namespace gguf_fuse::test_support {

/// How a program ended and what it printed. A program ended by a signal has the shell's exit code, 128 + signal.
struct ProgramResult {
  int exit_code = -1;
  bool signalled = false;
  std::string out;
  std::string err;
  long peak_kilobytes = 0;  ///< of resident memory
};

struct RunOptions {
  std::string input{};                     ///< standard input; empty: nothing to read
  std::vector<std::string> environment{};  ///< NAME=VALUE, beside the test's own
  std::string folder{};                    ///< where it runs; empty: where the test runs
};

/// Runs a program to its end; arguments[0] is its path. A failure of the set-up throws std::runtime_error.
[[nodiscard]] ProgramResult run_program(const std::vector<std::string>& arguments, const RunOptions& options = {});

/// A program that runs while the test watches: its input is a pipe that the test feeds, its output a pipe, or with
/// Terminal both are a terminal, at whose keyboard the test sits.
class RunningProgram {
 public:
  enum class Kind { Pipes, Terminal, TerminalWithPipedInput };
  struct Options {
    unsigned short columns = 100;            ///< of the terminal
    std::vector<std::string> environment{};  ///< NAME=VALUE, beside the test's own
  };
  RunningProgram(const std::vector<std::string>& arguments, Kind kind);
  RunningProgram(const std::vector<std::string>& arguments, Kind kind, const Options& options);
  ~RunningProgram();
  RunningProgram(const RunningProgram&) = delete;
  RunningProgram& operator=(const RunningProgram&) = delete;

  void write_input(std::string_view bytes);
  void close_input();
  void send_signal(int number) const;
  /// What it printed so far, with what comes within the next `milliseconds`.
  [[nodiscard]] const std::string& output(int milliseconds = 0);
  /// Waits until the output holds `text`; false when `milliseconds` passed or the program closed its output.
  [[nodiscard]] bool wait_for(std::string_view text, int milliseconds);
  /// Waits for the end. Standard output and error are in `out`, in the order they came.
  [[nodiscard]] ProgramResult finish();

 private:
  /// False at the end of the output.
  bool read_some(int milliseconds);

  pid_t process_ = -1;
  int input_ = -1;
  int output_ = -1;
  std::string text_;
};

}  // namespace gguf_fuse::test_support
