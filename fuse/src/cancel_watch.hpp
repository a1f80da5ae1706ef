// SPDX-License-Identifier: MIT
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "gguf_fuse/fuse/pipeline.hpp"

namespace gguf_fuse {

/// Passes a cancellation on to a source that may be waiting for a pipe, where no one would look at Control.
class CancelWatch {
 public:
  CancelWatch(Source& source, const Control* control);
  ~CancelWatch();
  CancelWatch(const CancelWatch&) = delete;
  CancelWatch& operator=(const CancelWatch&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable stopping_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace gguf_fuse
