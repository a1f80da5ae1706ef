// SPDX-License-Identifier: MIT
#include "probe_process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>

extern char** environ;  // POSIX wants it declared by its user

namespace gguf_fuse::kernels::detail {
namespace {

constexpr std::size_t kMaxOutput = 4096;

/// Starts the program with its output going into `write_end`; an error number.
int spawn(const std::vector<std::string>& arguments, int write_end, pid_t& child) {
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  if (const int error = posix_spawn_file_actions_init(&actions); error != 0) return error;
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, write_end, STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  const int error = posix_spawn(&child, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

/// Reads until the other end is closed; false when time ran out first.
bool read_until_end(int descriptor, std::chrono::steady_clock::time_point deadline, std::string& output) {
  while (true) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    pollfd wait{.fd = descriptor, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&wait, 1, static_cast<int>(left.count()));
    if (ready < 0 && errno != EINTR) return false;
    if (ready <= 0) continue;
    std::array<char, 512> part{};
    const ssize_t bytes = ::read(descriptor, part.data(), part.size());
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes <= 0) return true;
    const std::size_t room = kMaxOutput - output.size();
    output.append(part.data(), std::min(static_cast<std::size_t>(bytes), room));
  }
}

std::string describe_status(int status) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  if (WIFEXITED(status)) return fmt::format("the probe ended with status {}", WEXITSTATUS(status));
  return fmt::format("the probe was killed by signal {}", WTERMSIG(status));
}

}  // namespace

ProcessEnd run_process(const std::vector<std::string>& arguments, int timeout_seconds) {
  ProcessEnd end;
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return {.failure = fmt::format("no pipe: error {}", errno)};
  pid_t child = -1;
  const int error = spawn(arguments, ends[1], child);
  ::close(ends[1]);
  if (error != 0) {
    ::close(ends[0]);
    return {.failure = fmt::format("{} could not be started: error {}", arguments.front(), error)};
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(timeout_seconds);
  const bool ended = read_until_end(ends[0], deadline, end.output);
  if (!ended) ::kill(child, SIGKILL);
  ::close(ends[0]);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  end.crashed = WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL;
  end.failure = ended ? describe_status(status) : fmt::format("the probe took more than {} s", timeout_seconds);
  return end;
}

}  // namespace gguf_fuse::kernels::detail
