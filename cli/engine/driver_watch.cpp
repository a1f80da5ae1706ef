// SPDX-License-Identifier: MIT
#include "driver_watch.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "gguf_fuse/kernels/driver.hpp"

namespace gguf_fuse::cli {
namespace {

std::atomic<const ErrorStyle*> error_style{nullptr};
std::atomic_flag telling = ATOMIC_FLAG_INIT;

/// Text in memory that is there already: in a signal handler, and where memory ran out, nothing may be allocated.
class FixedText {
 public:
  FixedText& operator<<(std::string_view text) {
    const std::size_t bytes = std::min(text.size(), text_.size() - used_);
    std::memcpy(text_.data() + used_, text.data(), bytes);
    used_ += bytes;
    return *this;
  }
  FixedText& operator<<(std::uint64_t number) {
    std::array<char, 20> digits{};
    std::size_t first = digits.size();
    do {
      digits[--first] = static_cast<char>('0' + number % 10);
      number /= 10;
    } while (number != 0);
    return *this << std::string_view(digits.data() + first, digits.size() - first);
  }
  [[nodiscard]] std::string_view view() const { return {text_.data(), used_}; }
  void write_to(int descriptor) const {
    std::string_view left = view();
    while (!left.empty()) {
      const ssize_t written = ::write(descriptor, left.data(), left.size());
      if (written <= 0) return;
      left.remove_prefix(static_cast<std::size_t>(written));
    }
  }

 private:
  std::array<char, 2048> text_{};
  std::size_t used_ = 0;
};

struct LimitRow {
  __rlimit_resource resource;
  std::string_view name;
  std::uint64_t divisor;
};
constexpr LimitRow kLimits[] = {{RLIMIT_AS, "ulimit -v ", 1024},
                                {RLIMIT_DATA, "ulimit -d ", 1024},
                                {RLIMIT_NPROC, "ulimit -u ", 1},
                                {RLIMIT_FSIZE, "ulimit -f ", 1024},
                                {RLIMIT_NOFILE, "ulimit -n ", 1}};

/// What a driver meets first when resources run short, and the limits of this process.
void append_hint(FixedText& text) {
  text << "memory, threads or the disk may have run short: close other programs, free some of the disk with the "
          "driver's cache (~/.cache), or choose another device with -dev";
  std::string_view before = "; limits of this process that may be raised: ";
  for (const LimitRow& row : kLimits) {
    rlimit limit{};
    if (getrlimit(row.resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) continue;
    text << before << row.name << limit.rlim_cur / row.divisor;
    before = ", ";
  }
}

/// `what`: without characters that JSON escapes.
[[noreturn]] void tell_and_end(const char* call, std::string_view what) {
  // several threads of a driver often die together; the first one speaks
  if (telling.test_and_set()) {
    while (true) ::pause();
  }
  const ErrorStyle* style = error_style.load();
  const bool json = style != nullptr && style->json;
  const bool in_array = json && style->in_array;
  FixedText text;
  text << (in_array ? "[" : "")
       << (json ? R"({"error":{"code":"OpenClFailed","kind":"environment","message":")" : "error: ")
       << "an OpenCL call failed: " << call << ": " << what << "; ";
  append_hint(text);
  text << (json ? "\",\"exit_code\":1}}" : "") << (in_array ? "]\n" : "\n");
  text.write_to(json && !style->to_stderr ? STDOUT_FILENO : STDERR_FILENO);
  _exit(1);
}

struct SignalRow {
  int number;
  std::string_view what;
};
constexpr SignalRow kSignals[] = {{SIGABRT, "the driver ended the process (SIGABRT)"},
                                  {SIGSEGV, "the driver crashed (SIGSEGV)"},
                                  {SIGBUS, "the driver crashed (SIGBUS)"},
                                  {SIGILL, "the driver crashed (SIGILL)"},
                                  {SIGFPE, "the driver crashed (SIGFPE)"},
                                  {SIGTRAP, "the driver ended the process (SIGTRAP)"}};

/// LLVM leaves by exit() too, when it cannot write.
void on_exit() {
  if (const char* call = driver_call()) tell_and_end(call, "the driver ended the process (exit)");
}

extern "C" void on_fatal_signal(int number) {
  // Not in the driver: a defect of ours, which ends as it would without us.
  if (const char* call = driver_call()) {
    for (const SignalRow& row : kSignals) {
      if (row.number == number) tell_and_end(call, row.what);
    }
  }
  std::signal(number, SIG_DFL);
  std::raise(number);
}

void on_lost(const char* call, const char* reason) noexcept {
  const std::string_view said(reason);
  const bool plain = said.find_first_of("\"\\\n") == std::string_view::npos;
  FixedText what;
  what << "the driver broke off with " << (plain ? said : std::string_view("an exception"));
  tell_and_end(call, what.view());
}

}  // namespace

void watch_drivers(const ErrorStyle& style) {
  error_style.store(&style);
  on_driver_lost(on_lost);
  // A function that cannot be registered costs a message, no more.
  static_cast<void>(std::atexit(on_exit));
  for (const SignalRow& row : kSignals) {
    struct sigaction action {};
    action.sa_handler = on_fatal_signal;
    action.sa_flags = SA_NODEFER;  // it may end by the same signal
    sigemptyset(&action.sa_mask);
    sigaction(row.number, &action, nullptr);
  }
}

}  // namespace gguf_fuse::cli

// In place of the C library's, for the drivers as well: LLVM's own handlers stand before ours and would let an abort()
// pass by them.
extern "C" __attribute__((visibility("default"))) void abort() noexcept {
  using namespace gguf_fuse::cli;
  if (const char* call = gguf_fuse::kernels::driver_call()) tell_and_end(call, "the driver ended the process (abort)");
  std::signal(SIGABRT, SIG_DFL);
  std::raise(SIGABRT);
  _exit(128 + SIGABRT);
}
