// SPDX-License-Identifier: MIT
#include "scatter.hpp"

#include <xxhash.h>

#include <algorithm>
#include <mutex>

#include "gguf_fuse/loader/data_stream.hpp"
#include "padding.hpp"
#include "ticker.hpp"
#include "tracks.hpp"
#include "workers.hpp"

namespace gguf_fuse::fuse::detail {
namespace {

/// Hands out windows of a stream: reading is serial by nature, what follows is not.
class Windows {
 public:
  Windows(const Plan& plan, Model& model, std::uint64_t chunk_bytes)
      : order_(plan),
        stream_(model),
        gaps_(gaps_of(model.info.shards.front())),
        position_(model.info.shards.front().header->size()),
        end_(stream_.end()),
        chunk_bytes_(chunk_bytes),
        proof_(plan.proof && !plan.proof->sources.empty() ? &*plan.proof : nullptr) {}

  /// False at the end.
  Result<bool> next(Window& window) {
    const std::lock_guard lock(mutex_);
    if (position_ == end_) return false;
    window.begin = position_;
    const std::uint64_t stop = proof_ != nullptr
                                   ? whole_stretches(proof_->sources.front(), proof_->tensors, position_, chunk_bytes_)
                                   : position_ + chunk_bytes_;
    window.bytes.resize(std::min(stop, end_) - position_);
    if (auto read = stream_.read(position_, window.bytes); !read) {
      position_ = end_;  // another thread must not try a stream that failed
      return fail(std::move(read).error());
    }
    position_ += window.bytes.size();
    window.pieces = order_.window(window.begin, position_);
    padding_zero_ = padding_zero_ && gaps_are_zero(window);
    return true;
  }

  Result<bool> finish() {
    GGUF_FUSE_ASSIGN(const bool zero_tail, stream_.finish());
    return padding_zero_ && zero_tail;
  }

 private:
  bool gaps_are_zero(const Window& window) {
    const std::uint64_t end = window.begin + window.bytes.size();
    for (; next_gap_ < gaps_.size() && gaps_[next_gap_].begin < end; ++next_gap_) {
      const std::uint64_t from = std::max(gaps_[next_gap_].begin, window.begin);
      const std::uint64_t to = std::min(gaps_[next_gap_].end, end);
      if (!all_zero(std::span(window.bytes).subspan(from - window.begin, to - from))) return false;
      if (gaps_[next_gap_].end > end) break;
    }
    return true;
  }

  std::mutex mutex_;
  SourceOrder order_;
  DataStream stream_;
  std::vector<Gap> gaps_;
  std::size_t next_gap_ = 0;
  bool padding_zero_ = true;
  std::uint64_t position_;
  std::uint64_t end_;
  std::uint64_t chunk_bytes_;
  const OriginalProof* proof_;  // whose blocks no window cuts
};

}  // namespace

SourceOrder::SourceOrder(const Plan& plan) {
  for (std::size_t file = 0; file < plan.files.size(); ++file) {
    for (const PlannedTensor& tensor : plan.files[file].tensors) {
      for (const Run& run : tensor.map.runs()) items_.push_back({run, static_cast<std::uint32_t>(file), &tensor});
    }
  }
  std::sort(items_.begin(), items_.end(),
            [](const Item& a, const Item& b) { return a.run.source_offset < b.run.source_offset; });
}

std::vector<ScatteredPiece> SourceOrder::window(std::uint64_t begin, std::uint64_t end) {
  while (next_ < items_.size() && items_[next_].run.source_offset < end) active_.push_back(next_++);
  std::vector<ScatteredPiece> pieces;
  for (const std::size_t index : active_) {
    const Item& item = items_[index];
    for_each_piece_in_source(item.run, begin, end, [&](Piece piece) {
      piece.offset += item.tensor->offset;
      pieces.push_back({item.file, item.tensor, piece});
    });
  }
  std::erase_if(active_, [&](std::size_t index) { return items_[index].source_end() <= end; });
  return pieces;
}

Result<bool> walk_stream(const Plan& plan, Model& model, const PipelineOptions& options,
                         const std::function<Result<void>(const Window&)>& consume) {
  GGUF_FUSE_ASSIGN(const WorkSize size, work_size(options, 1));
  Windows windows(plan, model, size.chunk_bytes);
  GGUF_FUSE_CHECK(run_threads(size.threads, [&](FirstError& first) -> Result<void> {
    Window window;
    while (!first.is_set()) {
      if (cancelled(options.control)) return fail(interrupted());
      GGUF_FUSE_ASSIGN(const bool more, windows.next(window));
      if (!more) break;
      GGUF_FUSE_CHECK(consume(window));
      count_bytes(options.control, window.bytes.size());
    }
    return {};
  }));
  return windows.finish();
}

Result<Execution> scatter(const Plan& plan, Model& model, const std::vector<std::unique_ptr<Sink>>& sinks,
                          const PipelineOptions& options) {
  Execution execution;
  OriginalHasher hasher(plan.proof ? &*plan.proof : nullptr);
  std::mutex mutex;
  const Ticker write_back(kWriteBackPeriod, [&] {
    for (std::size_t i = 0; i < sinks.size(); ++i) sinks[i]->settle(0, plan.files[i].total_bytes);
  });
  GGUF_FUSE_ASSIGN(
      execution.padding_was_zero, walk_stream(plan, model, options, [&](const Window& window) -> Result<void> {
        std::vector<Extent> extents;
        if (hasher.proof() != nullptr && !hasher.proof()->sources.empty())
          hasher.add(hasher.proof()->sources.front(), window.begin, window.bytes);
        for (const ScatteredPiece& item : window.pieces) {
          const auto bytes = std::span(window.bytes).subspan(item.piece.source_offset - window.begin, item.piece.bytes);
          GGUF_FUSE_CHECK(sinks[item.file]->write_at(item.piece.offset, bytes));
          extents.push_back({item.file, item.piece.offset, item.piece.bytes, XXH64(bytes.data(), bytes.size(), 0)});
        }
        const std::lock_guard lock(mutex);
        execution.extents.insert(execution.extents.end(), extents.begin(), extents.end());
        return {};
      }));
  execution.originals = hasher.take();
  std::sort(execution.extents.begin(), execution.extents.end(),
            [](const Extent& a, const Extent& b) { return std::pair(a.file, a.offset) < std::pair(b.file, b.offset); });
  return execution;
}

}  // namespace gguf_fuse::fuse::detail
