// SPDX-License-Identifier: MIT
#include <algorithm>
#include <condition_variable>

#include "gather.hpp"
#include "kernel_copy.hpp"
#include "padding.hpp"
#include "plan_check.hpp"
#include "scatter.hpp"
#include "ticker.hpp"
#include "workers.hpp"

namespace gguf_fuse {
namespace {

/// Lets threads that finish chunks in any order write them in theirs.
class Turns {
 public:
  /// False when another thread failed meanwhile.
  bool wait_for(std::uint64_t turn, const FirstError& first) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return next_ == turn || first.is_set(); });
    return next_ == turn;
  }
  void advance() {
    const std::lock_guard lock(mutex_);
    ++next_;
    changed_.notify_all();
  }
  /// Wakes waiting threads so that they see an error.
  void wake() {
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t next_ = 0;
};

/// Output of one file, chunk by chunk in output order; each thread owns one buffer of the ring.
class FileGather {
 public:
  FileGather(const PlannedFile& file, Model& model, Sink& sink, std::uint64_t chunk_bytes,
             const PipelineOptions& options)
      : file_(file), model_(model), sink_(sink), chunk_bytes_(chunk_bytes), control_(options.control) {
    const bool possible =
        sink.descriptor() >= 0 && !sink.sequential() &&
        std::all_of(model.sources.begin(), model.sources.end(), [](const auto& s) { return s->descriptor() >= 0; });
    const bool wins = options.copy == CopyMode::Auto && possible && kernel_copy_wins(*model.sources.front(), sink);
    in_kernel_ = possible && (options.copy == CopyMode::Kernel || wins);
  }

  /// Starts writing back what was written since the last call; `threads` chunks may still be on their way.
  void settle(unsigned threads) {
    const std::uint64_t begun = next_chunk_.load(std::memory_order_relaxed);
    const std::uint64_t end = begun > threads ? std::min((begun - threads) * chunk_bytes_, file_.total_bytes) : 0;
    if (end > settled_) sink_.settle(settled_, end - settled_);
    settled_ = std::max(settled_, end);
  }

  Result<void> work(FirstError& first) {
    Result<void> done = loop(first);
    if (!done) first.set(done.error());
    turns_.wake();
    return done;
  }

 private:
  Result<void> loop(FirstError& first) {
    std::vector<std::byte> buffer;
    while (!first.is_set()) {
      if (cancelled(control_)) return fail(interrupted());
      const std::uint64_t chunk = next_chunk_.fetch_add(1);
      const std::uint64_t begin = chunk * chunk_bytes_;
      if (begin >= file_.total_bytes) break;
      const std::uint64_t bytes = std::min(chunk_bytes_, file_.total_bytes - begin);
      GGUF_FUSE_CHECK(move_chunk(first, chunk, begin, bytes, buffer));
      count_bytes(control_, bytes);
    }
    return {};
  }

  Result<void> move_chunk(FirstError& first, std::uint64_t chunk, std::uint64_t begin, std::uint64_t bytes,
                          std::vector<std::byte>& buffer) {
    if (in_kernel_.load(std::memory_order_relaxed)) {
      GGUF_FUSE_ASSIGN(const bool copied, kernel_copy(file_, model_, sink_, begin, begin + bytes));
      if (copied) return {};
      in_kernel_.store(false, std::memory_order_relaxed);
    }
    buffer.resize(bytes);
    GGUF_FUSE_CHECK(gather(file_, model_, begin, buffer));
    if (!sink_.sequential()) return sink_.write_at(begin, buffer);
    if (!turns_.wait_for(chunk, first)) return {};
    GGUF_FUSE_CHECK(sink_.write_at(begin, buffer));
    turns_.advance();
    return {};
  }

  const PlannedFile& file_;
  Model& model_;
  Sink& sink_;
  std::uint64_t chunk_bytes_;
  Control* control_;
  std::atomic<bool> in_kernel_{false};
  std::atomic<std::uint64_t> next_chunk_{0};
  std::uint64_t settled_ = 0;
  Turns turns_;
};

}  // namespace

Result<Execution> execute(const Plan& plan, Model& model, const std::vector<std::unique_ptr<Sink>>& sinks,
                          const PipelineOptions& options) {
  GGUF_FUSE_CHECK(check_plan(plan, model));
  GGUF_FUSE_CHECK(check_sides(plan, sinks));
  start_count(options.control, plan.total_bytes());
  if (model.sequential()) return scatter(plan, model, sinks, options);
  GGUF_FUSE_ASSIGN(const WorkSize size, work_size(options, 1));
  for (std::size_t i = 0; i < plan.files.size(); ++i) {
    FileGather gather_file(plan.files[i], model, *sinks[i], size.chunk_bytes, options);
    const Ticker write_back(kWriteBackPeriod, [&] { gather_file.settle(size.threads); });
    GGUF_FUSE_CHECK(run_threads(size.threads, [&](FirstError& first) { return gather_file.work(first); }));
  }
  Execution execution;
  GGUF_FUSE_ASSIGN(execution.padding_was_zero, padding_is_zero(model));
  GGUF_FUSE_CHECK(model.check_unchanged());
  return execution;
}

Result<void> write_headers(const Plan& plan, const std::vector<std::unique_ptr<Sink>>& sinks) {
  GGUF_FUSE_CHECK(check_sides(plan, sinks));
  // In pieces: a record may ask for a gigabyte of padding.
  const std::vector<std::byte> zeros(std::size_t{64} << 10, std::byte{0});
  for (std::size_t i = 0; i < plan.files.size(); ++i) {
    const PlannedFile& file = plan.files[i];
    GGUF_FUSE_CHECK(sinks[i]->write_at(0, file.header));
    std::uint64_t end = file.header.size();
    const auto pad_to = [&](std::uint64_t stop) -> Result<void> {
      while (end < stop) {
        const std::uint64_t count = std::min<std::uint64_t>(stop - end, zeros.size());
        GGUF_FUSE_CHECK(sinks[i]->write_at(end, std::span(zeros).first(count)));
        end += count;
      }
      return {};
    };
    for (const PlannedTensor& tensor : file.tensors) {
      GGUF_FUSE_CHECK(pad_to(tensor.offset));
      end = tensor.offset + tensor.bytes;
    }
    GGUF_FUSE_CHECK(pad_to(file.total_bytes));
  }
  return {};
}

}  // namespace gguf_fuse
