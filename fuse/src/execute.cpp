// SPDX-License-Identifier: MIT
#include <algorithm>
#include <condition_variable>
#include <optional>

#include "gather.hpp"
#include "gguf_fuse/loader/page_bytes.hpp"
#include "kernel_copy.hpp"
#include "padding.hpp"
#include "plan_check.hpp"
#include "scatter.hpp"
#include "ticker.hpp"
#include "tracks.hpp"
#include "workers.hpp"

namespace gguf_fuse::fuse {
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

/// Cuts a file into the chunks that threads take, in order: of one size, or, where blocks are hashed, so that none is
/// cut in two.
class Chunks {
 public:
  struct Chunk {
    std::uint64_t number = 0;
    std::uint64_t begin = 0;
    std::uint64_t bytes = 0;  ///< 0 at the end
  };

  Chunks(std::uint64_t total, std::uint64_t most, const FileTracks* tracks, const OriginalProof* proof)
      : total_(total), most_(most), tracks_(tracks), proof_(proof) {}

  Chunk next() {
    const std::lock_guard lock(mutex_);
    Chunk chunk{.number = number_++, .begin = position_, .bytes = 0};
    const std::uint64_t end =
        tracks_ != nullptr ? whole_stretches(*tracks_, proof_->tensors, position_, most_) : position_ + most_;
    chunk.bytes = std::min(end, total_) - position_;
    position_ += chunk.bytes;
    return chunk;
  }
  /// Where the next chunk will begin.
  std::uint64_t position() {
    const std::lock_guard lock(mutex_);
    return position_;
  }

 private:
  std::mutex mutex_;
  std::uint64_t total_;
  std::uint64_t most_;
  const FileTracks* tracks_;
  const OriginalProof* proof_;
  std::uint64_t position_ = 0;
  std::uint64_t number_ = 0;
};

/// Output of one file, chunk by chunk in output order; each thread owns one buffer of the ring. Without a sink the
/// bytes are only hashed.
class FileGather {
 public:
  FileGather(const Plan& plan, std::size_t index, Model& model, Sink* sink, std::uint64_t chunk_bytes,
             OriginalHasher& hasher, const PipelineOptions& options)
      : file_(plan.files[index]),
        model_(model),
        sink_(sink),
        chunk_bytes_(chunk_bytes),
        hasher_(hasher),
        tracks_(hasher.proof() != nullptr ? &hasher.proof()->outputs[index] : nullptr),
        control_(sink != nullptr ? options.control : nullptr),
        stop_(options.control),
        chunks_(file_.total_bytes, chunk_bytes, tracks_, hasher.proof()) {
    const bool possible =
        sink != nullptr && sink->descriptor() >= 0 && !sink->sequential() &&
        std::all_of(model.sources.begin(), model.sources.end(), [](const auto& s) { return s->descriptor() >= 0; });
    const bool wins = options.copy == CopyMode::Auto && possible && kernel_copy_wins(*model.sources.front(), *sink);
    in_kernel_ = possible && (options.copy == CopyMode::Kernel || wins);
  }

  /// Starts writing back what was written since the last call; `threads` chunks may still be on their way.
  void settle(unsigned threads) {
    const std::uint64_t begun = chunks_.position();
    const std::uint64_t open = threads * chunk_bytes_;
    const std::uint64_t end = begun > open ? begun - open : 0;
    if (end > settled_) sink_->settle(settled_, end - settled_);
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
      if (cancelled(stop_)) return fail(interrupted());
      const Chunks::Chunk chunk = chunks_.next();
      if (chunk.bytes == 0) break;
      GGUF_FUSE_CHECK(move_chunk(first, chunk, buffer));
      count_bytes(control_, chunk.bytes);
    }
    return {};
  }

  Result<void> move_chunk(FirstError& first, const Chunks::Chunk& chunk, std::vector<std::byte>& buffer) {
    bool copied = false;
    if (in_kernel_.load(std::memory_order_relaxed)) {
      GGUF_FUSE_ASSIGN(copied, kernel_copy(file_, model_, *sink_, chunk.begin, chunk.begin + chunk.bytes));
      if (!copied) in_kernel_.store(false, std::memory_order_relaxed);
    }
    if (copied && tracks_ == nullptr) return {};
    // Pages are written whole, where blocks end within one with the next chunk: a page that two threads write in parts
    // costs the kernel a third more time.
    const std::uint64_t begin = chunk.begin / kPageBytes * kPageBytes;
    const std::uint64_t end = chunk.begin + chunk.bytes;
    const std::uint64_t written = (end == file_.total_bytes ? end : end / kPageBytes * kPageBytes) - begin;
    buffer.resize(end - begin);
    GGUF_FUSE_CHECK(gather(file_, model_, begin, buffer));
    const std::span<const std::byte> bytes(buffer);
    if (tracks_ != nullptr) hasher_.add(*tracks_, chunk.begin, bytes.subspan(chunk.begin - begin));
    if (copied || sink_ == nullptr) return {};
    if (!sink_->sequential()) return sink_->write_at(begin, bytes.first(written));
    if (!turns_.wait_for(chunk.number, first)) return {};
    GGUF_FUSE_CHECK(sink_->write_at(begin, bytes.first(written)));
    turns_.advance();
    return {};
  }

  const PlannedFile& file_;
  Model& model_;
  Sink* sink_;
  std::uint64_t chunk_bytes_;
  OriginalHasher& hasher_;
  const FileTracks* tracks_;
  Control* control_;  // whose bytes are counted
  Control* stop_;
  Chunks chunks_;
  std::atomic<bool> in_kernel_{false};
  std::uint64_t settled_ = 0;
  Turns turns_;
};

// Moves every file into its sink, or, without sinks, hashes what would be moved.
Result<Execution> gather_files(const Plan& plan, Model& model, const std::vector<std::unique_ptr<Sink>>* sinks,
                               const PipelineOptions& options) {
  GGUF_FUSE_ASSIGN(const WorkSize size, work_size(options, 1));
  OriginalHasher hasher(plan.proof ? &*plan.proof : nullptr);
  for (std::size_t i = 0; i < plan.files.size(); ++i) {
    Sink* sink = sinks != nullptr ? (*sinks)[i].get() : nullptr;
    FileGather gather_file(plan, i, model, sink, size.chunk_bytes, hasher, options);
    std::optional<Ticker> write_back;
    if (sink != nullptr) write_back.emplace(kWriteBackPeriod, [&] { gather_file.settle(size.threads); });
    GGUF_FUSE_CHECK(run_threads(size.threads, [&](FirstError& first) { return gather_file.work(first); }));
  }
  Execution execution;
  execution.originals = hasher.take();
  GGUF_FUSE_ASSIGN(execution.padding_was_zero, padding_is_zero(model));
  GGUF_FUSE_CHECK(model.check_unchanged());
  return execution;
}

}  // namespace

Result<Execution> execute(const Plan& plan, Model& model, const std::vector<std::unique_ptr<Sink>>& sinks,
                          const PipelineOptions& options) {
  GGUF_FUSE_CHECK(check_plan(plan, model));
  GGUF_FUSE_CHECK(check_sides(plan, sinks));
  start_count(options.control, plan.total_bytes());
  return model.sequential() ? scatter(plan, model, sinks, options) : gather_files(plan, model, &sinks, options);
}

Result<Execution> survey(const Plan& plan, Model& model, const PipelineOptions& options) {
  GGUF_FUSE_CHECK(check_plan(plan, model));
  if (!model.sequential()) return gather_files(plan, model, nullptr, options);
  return fail({.code = ErrorCode::InvalidArgument,
               .path = model.info.shards.front().path,
               .expected = "a file",
               .actual = "a stream",
               .hint = "a stream can be read once, from front to back"});
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

}  // namespace gguf_fuse::fuse
