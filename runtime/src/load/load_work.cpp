// SPDX-License-Identifier: MIT
#include "load/load_work.hpp"

#include <algorithm>
#include <cstring>

#include "clock.hpp"

namespace gguf_fuse::runtime::detail {

Error interrupted_loading(const Model& model) {
  return {.code = ErrorCode::Interrupted, .path = model.info.shards.front().path, .hint = "the model was not loaded"};
}

// For O_DIRECT a read may begin up to a page earlier and end a page later.
JobReader::JobReader(const LoadInput& input, const JobList& list, std::uint64_t largest_job)
    : input_(input), list_(list), buffer_bytes_(largest_job + 2 * kPageBytes) {}

Result<std::span<const std::byte>> JobReader::read(const LoadJob& job) {
  const std::span<const Piece> pieces = list_.pieces_of(job);
  const Piece& first = pieces.front();
  Source& source = *input_.model.sources[first.source];
  const auto named = [&](Error error, const Piece& piece) {
    return fail(
        input_.model.info.shards[piece.source].with_tensor(std::move(error), piece.source_offset, piece.source_end()));
  };
  if (pieces.size() == 1 && input_.mode == LoadMode::Mmap) {
    const auto view = source.view(first.source_offset, first.bytes);
    if (!view) return named(view.error(), first);
    if (*view) {
      viewed_ = &source;
      view_ = **view;
      return view_;
    }
  }
  if (!buffer_) buffer_ = allocate_page_bytes(buffer_bytes_);
  if (pieces.size() == 1 && input_.mode == LoadMode::Direct) {
    const std::uint64_t begin = first.source_offset / kPageBytes * kPageBytes;
    const std::uint64_t size = source.size().value_or(first.source_end());
    const std::uint64_t end =
        std::max(first.source_end(), std::min(size, (first.source_end() + kPageBytes - 1) / kPageBytes * kPageBytes));
    if (auto read = source.read_at(begin, {buffer_.get(), end - begin}); !read) return named(read.error(), first);
    return std::span<const std::byte>(buffer_.get() + (first.source_offset - begin), first.bytes);
  }
  std::byte* out = buffer_.get();
  for (const Piece& piece : pieces) {
    auto read = input_.model.sources[piece.source]->read_at(piece.source_offset, {out, piece.bytes});
    if (!read) return named(read.error(), piece);
    out += piece.bytes;
  }
  return std::span<const std::byte>(buffer_.get(), job.bytes);
}

void JobReader::release() {
  if (viewed_ != nullptr) viewed_->release(view_);
  viewed_ = nullptr;
}

Result<void> Placer::pack(const LoadJob& job, std::span<const std::byte> bytes, std::span<std::byte> out) {
  const auto start = Clock::now();
  const Placement& placement = input_.placements[job.placement];
  if (!placement.matrix.buffer) {
    std::memcpy(out.data(), bytes.data(), bytes.size());
    seconds_ += seconds_since(start);
    return {};
  }
  const PackedShape& shape = placement.matrix.shape;
  const std::uint64_t tile = shape.tile_bytes();
  const std::uint64_t tiles = out.size() / tile;
  // Of the last tile there may be less; the division says how many bytes of the source a whole one has.
  const PlannedTensor& tensor = input_.file.tensors[placement.tensor];
  const std::uint64_t rows = kTileRows * (tensor.bytes / row_count(tensor.dims).value_or(1));
  for (std::uint64_t i = 0; i < tiles; ++i) {
    const auto part = bytes.subspan(i * rows, std::min<std::uint64_t>(rows, bytes.size() - i * rows));
    auto packed = pack_tile(shape, part, out.subspan(i * tile, tile));
    if (packed) continue;
    Error error = std::move(packed).error();
    error.subject = tensor_name(job);
    return fail(std::move(error));
  }
  seconds_ += seconds_since(start);
  return {};
}

Result<void> Placer::send(const Batch& batch, Uploader::Slot slot) {
  const auto writes = writes_of(batch.jobs(), input_.placements, batch.lane->strategy);
  return batch.lane->uploader->send(std::move(slot), writes, tensor_name(batch.jobs().front()));
}

Result<StageTimes> load_in_parallel(const LoadInput& input, Lanes& lanes, unsigned threads) {
  std::uint64_t largest = 0;
  for (const Batch& batch : lanes.batches()) {
    for (const LoadJob& job : batch.jobs()) largest = std::max(largest, job.bytes);
  }
  std::atomic<std::size_t> next{0};
  FirstError failure;
  std::vector<StageTimes> times(threads);
  const auto work = [&](unsigned index) -> Result<void> {
    JobReader reader(input, lanes.list(), largest);
    Placer placer(input, lanes);
    StageTimes& mine = times[index];
    mine = {.read = {.threads = 1}, .repack = {.threads = 1}};
    while (!failure.is_set()) {
      const std::size_t batch = next.fetch_add(1, std::memory_order_relaxed);
      if (batch >= lanes.batches().size()) break;
      GGUF_FUSE_CHECK(placer.place(
          lanes.batches()[batch],
          [&](const LoadJob& job) {
            const auto start = Clock::now();
            auto bytes = reader.read(job);
            mine.read.seconds += seconds_since(start);
            return bytes;
          },
          [&](const LoadJob&) { reader.release(); }));
      mine.repack.seconds = placer.seconds();
    }
    return {};
  };
  GGUF_FUSE_CHECK(run_team(threads, 1, failure, work));
  StageTimes sum;
  for (const StageTimes& one : times) {
    sum.read.seconds += one.read.seconds;
    sum.read.threads += one.read.threads;
    sum.repack.seconds += one.repack.seconds;
    sum.repack.threads += one.repack.threads;
  }
  return sum;
}

}  // namespace gguf_fuse::runtime::detail
