// SPDX-License-Identifier: MIT
#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <deque>

#include "clock.hpp"
#include "gguf_fuse/loader/data_stream.hpp"
#include "load/load_work.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

/// Read at once at most, between two looks at whether loading is to stop.
constexpr std::uint64_t kStepBytes = std::uint64_t{1} << 20;

/// All bytes that the jobs of a batch need, job by job.
struct FilledBatch {
  const Batch* batch = nullptr;
  PageBytes bytes{};
};

/// Filled batches on their way from the reader to the others, a bounded number.
class Handover {
 public:
  explicit Handover(std::size_t room) : room_(room) {}

  /// Waits for room; false when loading is to stop.
  bool put(FilledBatch filled) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return stopped_ || queue_.size() < room_; });
    if (stopped_) return false;
    queue_.push_back(std::move(filled));
    changed_.notify_all();
    return true;
  }
  /// Nothing after the last one, and when loading is to stop.
  std::optional<FilledBatch> take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return stopped_ || ended_ || !queue_.empty(); });
    if (stopped_ || queue_.empty()) return std::nullopt;
    FilledBatch filled = std::move(queue_.front());
    queue_.pop_front();
    changed_.notify_all();
    return filled;
  }
  void end() { set(ended_); }
  void stop() { set(stopped_); }
  [[nodiscard]] bool stopped() {
    const std::lock_guard lock(mutex_);
    return stopped_;
  }

 private:
  void set(bool& flag) {
    const std::lock_guard lock(mutex_);
    flag = true;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<FilledBatch> queue_;
  std::size_t room_;
  bool ended_ = false;
  bool stopped_ = false;
};

/// Walks a stream once. What several batches want (a tied output on another device) is read once and given to each.
class BatchFiller {
 public:
  BatchFiller(const LoadInput& input, const Lanes& lanes, Handover& handover)
      : input_(input), stream_(input.model), handover_(handover), unfinished_(lanes.batches().size()) {
    for (std::size_t i = 0; i < lanes.batches().size(); ++i) {
      Unfinished& one = unfinished_[i];
      one.filled.batch = &lanes.batches()[i];
      for (const LoadJob& job : one.filled.batch->jobs()) {
        for (const Piece& piece : lanes.list().pieces_of(job)) {
          wanted_.push_back({piece, i, one.bytes});
          one.bytes += piece.bytes;
        }
      }
      one.missing = one.bytes;
    }
    std::sort(wanted_.begin(), wanted_.end(),
              [](const Wanted& a, const Wanted& b) { return a.piece.source_offset < b.piece.source_offset; });
  }

  Result<void> run() {
    std::uint64_t position = 0;
    while (next_ < wanted_.size() || !active_.empty()) {
      if (active_.empty()) position = wanted_[next_].piece.source_offset;
      for (; next_ < wanted_.size() && wanted_[next_].piece.source_offset == position; ++next_) activate(next_);
      const std::uint64_t end = step_end(position);
      GGUF_FUSE_CHECK(read(position, end));
      position = end;
      if (!hand_over(position)) return {};
      if (input_.stopped()) return fail(interrupted_loading(input_.model));
    }
    GGUF_FUSE_CHECK(stream_.finish());
    handover_.end();
    return {};
  }

  [[nodiscard]] double seconds() const { return seconds_; }

 private:
  struct Wanted {
    Piece piece;
    std::size_t batch;
    std::uint64_t place;  // in the batch's bytes
  };
  struct Unfinished {
    FilledBatch filled{};
    std::uint64_t bytes = 0;
    std::uint64_t missing = 0;
  };

  void activate(std::size_t index) {
    active_.push_back(index);
    Unfinished& batch = unfinished_[wanted_[index].batch];
    if (!batch.filled.bytes) batch.filled.bytes = allocate_page_bytes(batch.bytes);
  }

  /// Up to here the same batches want what is read.
  [[nodiscard]] std::uint64_t step_end(std::uint64_t position) const {
    std::uint64_t end = position + kStepBytes;
    for (const std::size_t index : active_) end = std::min(end, wanted_[index].piece.source_end());
    return next_ < wanted_.size() ? std::min(end, wanted_[next_].piece.source_offset) : end;
  }

  Result<void> read(std::uint64_t begin, std::uint64_t end) {
    const auto place = [&](std::size_t index) {
      const Wanted& wanted = wanted_[index];
      return unfinished_[wanted.batch].filled.bytes.get() + wanted.place + (begin - wanted.piece.source_offset);
    };
    std::byte* const first = place(active_.front());
    const auto start = Clock::now();
    const auto done = stream_.read(begin, {first, end - begin});
    seconds_ += seconds_since(start);
    GGUF_FUSE_CHECK(done);
    for (std::size_t i = 1; i < active_.size(); ++i) std::memcpy(place(active_[i]), first, end - begin);
    return {};
  }

  /// Passes on what is complete; false when loading is to stop.
  bool hand_over(std::uint64_t position) {
    std::vector<std::size_t> complete;
    std::erase_if(active_, [&](std::size_t index) {
      const Wanted& wanted = wanted_[index];
      if (wanted.piece.source_end() > position) return false;
      Unfinished& batch = unfinished_[wanted.batch];
      batch.missing -= wanted.piece.bytes;
      if (batch.missing == 0) complete.push_back(wanted.batch);
      return true;
    });
    return std::all_of(complete.begin(), complete.end(),
                       [&](std::size_t batch) { return handover_.put(std::move(unfinished_[batch].filled)); }) &&
           !handover_.stopped();
  }

  const LoadInput& input_;
  DataStream stream_;
  Handover& handover_;
  std::vector<Unfinished> unfinished_;  // by batch
  std::vector<Wanted> wanted_;          // in the order of the source
  std::vector<std::size_t> active_;     // of wanted_: those that want what comes next
  std::size_t next_ = 0;
  double seconds_ = 0;
};

}  // namespace

Result<StageTimes> load_stream(const LoadInput& input, Lanes& lanes, unsigned threads) {
  const unsigned placers = std::max(threads, 2U) - 1;
  Handover handover(std::size_t{2} * placers);
  BatchFiller reader(input, lanes, handover);
  FirstError failure;
  StageTimes times{.read = {.threads = 1}, .repack = {}};
  std::mutex mutex;
  const auto place = [&]() -> Result<void> {
    Placer placer(input, lanes);
    while (const auto filled = handover.take()) {
      const std::byte* from = filled->bytes.get();
      GGUF_FUSE_CHECK(placer.place(
          *filled->batch,
          [&](const LoadJob& job) -> Result<std::span<const std::byte>> {
            const std::span bytes(from, job.bytes);
            from += job.bytes;
            return bytes;
          },
          [](const LoadJob&) {}));
    }
    const std::lock_guard lock(mutex);
    times.repack.seconds += placer.seconds();
    ++times.repack.threads;
    return {};
  };
  const auto stop = [&] {
    handover.stop();
    input.model.sources.front()->cancel();  // the reader may wait for a pipe
  };
  GGUF_FUSE_CHECK(run_team(
      placers + 1, 2, failure, [&](unsigned index) { return index == 0 ? reader.run() : place(); }, stop));
  times.read.seconds = reader.seconds();
  return times;
}

}  // namespace gguf_fuse::runtime::detail
