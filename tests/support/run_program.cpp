// SPDX-License-Identifier: MIT
#include "support/run_program.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <stdexcept>

namespace gguf_fuse::test_support {
namespace {

[[noreturn]] void throw_errno(const char* what) {
  throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
}

struct Pipe {
  int read_end = -1;
  int write_end = -1;
};

Pipe make_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw_errno("pipe2");
  return {ends[0], ends[1]};
}

void close_end(int& descriptor) {
  if (descriptor >= 0) close(descriptor);
  descriptor = -1;
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

std::vector<std::string> whole_environment(const std::vector<std::string>& added) {
  std::vector<std::string> all = added;  // the first of two equal names counts
  for (char** variable = environ; *variable != nullptr; ++variable) all.emplace_back(*variable);
  return all;
}

/// In the child. Signals begin as a shell leaves them, whatever the test's own parent did.
[[noreturn]] void execute(char* const* arguments, char* const* environment) {
  for (const int number : {SIGINT, SIGTERM, SIGPIPE, SIGXFSZ}) std::signal(number, SIG_DFL);
  execve(arguments[0], arguments, environment);
  _exit(127);
}

/// Waits for its end. Outputs are left empty.
ProgramResult result_of(pid_t process) {
  int status = 0;
  rusage used{};
  while (wait4(process, &status, 0, &used) < 0) {
    if (errno != EINTR) throw_errno("wait4");
  }
  ProgramResult result;
  result.signalled = WIFSIGNALED(status);
  result.exit_code = result.signalled ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  result.peak_kilobytes = used.ru_maxrss;
  return result;
}

/// Reads what is there; false at the end (a terminal without a program at its other side gives EIO).
bool append_from(int descriptor, std::string& text) {
  std::array<char, 65536> buffer;
  const ssize_t got = read(descriptor, buffer.data(), buffer.size());
  if (got < 0) return errno == EINTR;
  text.append(buffer.data(), static_cast<std::size_t>(got));
  return got > 0;
}

/// Feeds `input` and collects both outputs at once, so that neither side can block the other.
void exchange(int& input, std::string_view bytes, int& out, int& err, ProgramResult& result) {
  while (out >= 0 || err >= 0) {
    std::array<pollfd, 3> events{{{out, POLLIN, 0}, {err, POLLIN, 0}, {input, POLLOUT, 0}}};
    if (poll(events.data(), events.size(), -1) < 0 && errno != EINTR) throw_errno("poll");
    if (events[0].revents != 0 && !append_from(out, result.out)) close_end(out);
    if (events[1].revents != 0 && !append_from(err, result.err)) close_end(err);
    if (events[2].revents == 0) continue;
    const ssize_t put = write(input, bytes.data(), bytes.size());
    if (put > 0) bytes.remove_prefix(static_cast<std::size_t>(put));
    if (bytes.empty() || (put < 0 && errno != EINTR && errno != EAGAIN)) close_end(input);
  }
}

}  // namespace

ProgramResult run_program(const std::vector<std::string>& arguments, const RunOptions& options) {
  std::signal(SIGPIPE, SIG_IGN);  // a program need not read all of its input
  Pipe in = make_pipe(), out = make_pipe(), err = make_pipe();
  const auto argument_pointers = pointers(arguments);
  const auto environment = whole_environment(options.environment);
  const auto environment_pointers = pointers(environment);
  const pid_t process = fork();
  if (process < 0) throw_errno("fork");
  if (process == 0) {
    dup2(in.read_end, STDIN_FILENO);
    dup2(out.write_end, STDOUT_FILENO);
    dup2(err.write_end, STDERR_FILENO);
    if (!options.folder.empty() && chdir(options.folder.c_str()) != 0) _exit(127);
    execute(argument_pointers.data(), environment_pointers.data());
  }
  close_end(in.read_end);
  close_end(out.write_end);
  close_end(err.write_end);
  fcntl(in.write_end, F_SETFL, O_NONBLOCK);
  if (options.input.empty()) close_end(in.write_end);
  ProgramResult collected;
  exchange(in.write_end, options.input, out.read_end, err.read_end, collected);
  close_end(in.write_end);
  ProgramResult result = result_of(process);
  result.out = std::move(collected.out);
  result.err = std::move(collected.err);
  return result;
}

RunningProgram::RunningProgram(const std::vector<std::string>& arguments, Kind kind)
    : RunningProgram(arguments, kind, Options{}) {}

RunningProgram::RunningProgram(const std::vector<std::string>& arguments, Kind kind, const Options& options) {
  std::signal(SIGPIPE, SIG_IGN);
  Pipe in = make_pipe();
  Pipe out;
  const auto argument_pointers = pointers(arguments);
  std::vector<std::string> added = options.environment;
  added.emplace_back("TERM=xterm");
  const auto environment = whole_environment(added);
  const auto environment_pointers = pointers(environment);
  winsize size{.ws_row = 25, .ws_col = options.columns, .ws_xpixel = 0, .ws_ypixel = 0};
  if (kind == Kind::Pipes) {
    out = make_pipe();
    process_ = fork();
  } else {
    process_ = forkpty(&out.read_end, nullptr, nullptr, &size);
  }
  if (process_ < 0) throw_errno("fork");
  if (process_ == 0) {
    if (kind != Kind::Terminal) dup2(in.read_end, STDIN_FILENO);
    if (kind == Kind::Pipes) {
      dup2(out.write_end, STDOUT_FILENO);
      dup2(out.write_end, STDERR_FILENO);
    }
    execute(argument_pointers.data(), environment_pointers.data());
  }
  close_end(in.read_end);
  close_end(out.write_end);
  input_ = in.write_end;
  output_ = out.read_end;
  if (kind != Kind::Terminal) return;
  close_end(input_);
  input_ = fcntl(output_, F_DUPFD_CLOEXEC, 0);
}

RunningProgram::~RunningProgram() {
  close_end(input_);
  close_end(output_);
  if (process_ <= 0) return;
  kill(process_, SIGKILL);
  waitpid(process_, nullptr, 0);
}

void RunningProgram::write_input(std::string_view bytes) {
  while (!bytes.empty()) {
    // what a terminal shows has to be read, or the program stops reading
    static_cast<void>(read_some(0));
    constexpr std::size_t kPart = 512;
    const ssize_t put = write(input_, bytes.data(), std::min(bytes.size(), kPart));
    if (put < 0 && errno != EINTR) throw_errno("write to the program");
    if (put > 0) bytes.remove_prefix(static_cast<std::size_t>(put));
  }
}

void RunningProgram::close_input() { close_end(input_); }

void RunningProgram::send_signal(int number) const { kill(process_, number); }

bool RunningProgram::read_some(int milliseconds) {
  pollfd event{output_, POLLIN, 0};
  if (poll(&event, 1, milliseconds) <= 0) return true;
  return append_from(output_, text_);
}

const std::string& RunningProgram::output(int milliseconds) {
  static_cast<void>(read_some(milliseconds));
  return text_;
}

bool RunningProgram::wait_for(std::string_view text, int milliseconds) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::milliseconds(milliseconds);
  constexpr int step = 20;
  while (text_.find(text) == std::string::npos) {
    if (Clock::now() > end || !read_some(step)) return text_.find(text) != std::string::npos;
  }
  return true;
}

ProgramResult RunningProgram::finish() {
  constexpr int step = 100;
  while (read_some(step)) {
  }
  ProgramResult result = result_of(process_);
  process_ = -1;
  result.out = text_;
  return result;
}

}  // namespace gguf_fuse::test_support
