// SPDX-License-Identifier: MIT
#include "signals.hpp"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>

namespace gguf_fuse::cli {
namespace {

static_assert(std::atomic<int>::is_always_lock_free && std::atomic<Control*>::is_always_lock_free &&
                  std::atomic<bool>::is_always_lock_free,
              "a signal handler may use nothing that locks");

std::atomic<int> first_signal{0};
std::atomic<Control*> cancelled_control{nullptr};
std::atomic<bool> second_ends{false};

extern "C" void on_signal(int number) {
  int none = 0;
  if (!first_signal.compare_exchange_strong(none, number) && second_ends.load()) _exit(128 + number);
  if (Control* control = cancelled_control.load()) control->cancelled.store(true);
}

}  // namespace

void ignore_write_signals() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

void cancel_on_signals(Control& control, SecondSignal second) {
  cancelled_control.store(&control);
  second_ends.store(second == SecondSignal::Ends);
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  for (const int number : {SIGINT, SIGTERM}) {
    // a shell starts background jobs with SIGINT ignored, which has to stay so
    struct sigaction old {};
    if (sigaction(number, nullptr, &old) == 0 && old.sa_handler == SIG_IGN) continue;
    sigaction(number, &action, nullptr);
  }
}

void forget_signal(Control& control) {
  first_signal.store(0);
  control.cancelled.store(false);
}

void wait_for_input(const std::string& input) {
  struct stat status {};
  if (input != "-" || fstat(STDIN_FILENO, &status) != 0) return;
  if (!S_ISFIFO(status.st_mode) && !S_ISSOCK(status.st_mode)) return;
  pollfd descriptor{STDIN_FILENO, POLLIN, 0};
  while (poll(&descriptor, 1, -1) < 0 && errno == EINTR) {
  }
}

int caught_signal() { return first_signal.load(); }

}  // namespace gguf_fuse::cli
