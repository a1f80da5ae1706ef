// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "gguf_fuse/fuse/pipeline.hpp"
#include "namespace.hpp"

namespace gguf_fuse::cli {

/// Shows on standard error how far a Control is, from construction to destruction, in a thread of its own: on a
/// terminal one line that is redrawn and erased at the end, elsewhere a plain line now and then.
class Progress {
 public:
  /// `stages` names what happens each time the count starts again: copy, verify. Does nothing unless `shown`.
  /// `afterwards` says what is waited for when every byte is moved; empty texts, like an empty function, leave that to
  /// the last stage. It is called by another thread.
  Progress(const Control& control, std::vector<std::string> stages, bool shown,
           std::function<std::string()> afterwards = {});
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

 private:
  using Clock = std::chrono::steady_clock;

  void run();
  void look();
  void draw() const;
  void print_plain();
  [[nodiscard]] std::string text(std::size_t width) const;

  const Control& control_;
  std::vector<std::string> stages_;
  std::function<std::string()> afterwards_;
  bool terminal_ = false;
  std::size_t stage_ = 0;
  std::uint64_t done_ = 0;
  std::uint64_t total_ = 0;
  double rate_ = 0;  ///< bytes a second, averaged over the last seconds
  Clock::time_point looked_;
  Clock::time_point printed_;
  std::uint64_t printed_tenth_ = 0;
  mutable bool drawn_ = false;

  std::mutex mutex_;
  std::condition_variable stop_signal_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace gguf_fuse::cli
