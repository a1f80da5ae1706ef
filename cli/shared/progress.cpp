// SPDX-License-Identifier: MIT
#include "progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <system_error>

#include "print.hpp"

namespace gguf_fuse::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto kRedraw = 100ms;
constexpr auto kPlainPause = 5s;     // a log needs no more
constexpr auto kLongestPause = 60s;  // and a slow pipe should not look dead

bool redraws(std::FILE* stream) {
  const char* terminal = std::getenv("TERM");
  return isatty(fileno(stream)) != 0 && terminal != nullptr && std::string_view(terminal) != "dumb";
}

std::string bar(double fraction, std::size_t width) {
  const auto full = static_cast<std::size_t>(fraction * static_cast<double>(width));
  return "[" + std::string(full, '#') + std::string(width - full, '.') + "]";
}

std::string time_left(double seconds) {
  constexpr double kExact = 100;
  return (seconds < kExact ? fmt::format("{:.0f} s", std::ceil(seconds)) : format_seconds(seconds)) + " left";
}

}  // namespace

Progress::Progress(const Control& control, std::vector<std::string> stages, bool shown,
                   std::function<std::string()> afterwards)
    : control_(control),
      stages_(std::move(stages)),
      afterwards_(std::move(afterwards)),
      looked_(Clock::now()),
      printed_(looked_) {
  if (!shown) return;
  terminal_ = redraws(stderr);
  // signals stay with the main thread, whose system calls they are to interrupt
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error&) {  // no thread to be had: the work is done unseen
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Progress::~Progress() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  stop_signal_.notify_one();
  thread_.join();
  if (drawn_) put(stderr, "\r\x1b[K");
}

void Progress::run() {
  std::unique_lock lock(mutex_);
  while (!stop_signal_.wait_for(lock, kRedraw, [this] { return stop_; })) {
    look();
    terminal_ ? draw() : print_plain();
  }
}

void Progress::look() {
  const std::uint64_t done = control_.bytes_done.load();
  total_ = control_.bytes_total.load();
  const auto now = Clock::now();
  const double seconds = std::chrono::duration<double>(now - looked_).count();
  if (done < done_) {
    stage_ = std::min(stage_ + 1, stages_.size() - 1);
    rate_ = 0;
    printed_tenth_ = 0;
  } else if (seconds > 0) {
    constexpr double kMemory = 2.0;  // seconds until what was measured counts for little
    const double current = static_cast<double>(done - done_) / seconds;
    rate_ = rate_ == 0 ? current : rate_ + (current - rate_) * (1 - std::exp(-seconds / kMemory));
  }
  done_ = done;
  looked_ = now;
}

std::string Progress::text(std::size_t width) const {
  const std::string rate = rate_ < 1 ? "" : format_bytes(static_cast<std::uint64_t>(rate_)) + "/s";
  if (total_ == 0) return fmt::format("{:<6}  {:>7}  {}", stages_[stage_], format_bytes(done_), rate);
  if (done_ >= total_ && afterwards_) {
    const std::string text = afterwards_();
    if (!text.empty()) return width == 0 ? text : text.substr(0, width);
  }
  const double fraction = std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_));
  // all bytes are moved: what takes time now is the disk
  const bool waiting = done_ >= total_;
  const std::string left = rate.empty() ? "" : time_left(static_cast<double>(total_ - done_) / rate_);
  const std::string begin = fmt::format("{:<6} {:>3.0f} %", stages_[stage_], std::floor(fraction * 100));
  const std::string bytes = fmt::format("{:>7} of {}", format_bytes(done_), format_bytes(total_));
  // fields have fixed widths, so that neither they nor the bar jump about
  const std::string end = fmt::format("{}  {:>10}  {:<13}", bytes, rate, waiting ? "finishing" : left);
  constexpr std::size_t kShortestBar = 10, kLongestBar = 40;
  const std::size_t used = begin.size() + end.size() + 6;
  if (width == 0) return fmt::format("{}  {}  {}  {}", begin, bytes, rate, waiting ? "finishing" : left);
  if (width >= used + kShortestBar)
    return begin + "  " + bar(fraction, std::min(width - used, kLongestBar)) + "  " + end;
  for (const std::string* rest : {&end, &bytes, &rate}) {
    if (begin.size() + 2 + rest->size() <= width) return fmt::format("{}  {}", begin, *rest);
  }
  return begin.substr(0, width);
}

void Progress::draw() const {
  // room for the ^C that a terminal echoes: a line that wraps is not erased by going back to its begin
  constexpr std::size_t kRoom = 3;
  const std::size_t columns = std::max(terminal_width(stderr), 2 * kRoom) - kRoom;
  put(stderr, "\r" + text(columns) + "\x1b[K");
  drawn_ = true;
}

void Progress::print_plain() {
  const auto pause = looked_ - printed_;
  const std::uint64_t tenth = total_ == 0 ? 0 : done_ / std::max<std::uint64_t>(total_ / 10, 1);
  if (pause < kPlainPause || (tenth == printed_tenth_ && pause < kLongestPause)) return;
  printed_ = looked_;
  printed_tenth_ = tenth;
  put(stderr, text(0) + "\n");
}

}  // namespace gguf_fuse::cli
