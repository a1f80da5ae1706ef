// SPDX-License-Identifier: MIT
#include "load_jobs.hpp"

#include <algorithm>
#include <tuple>
#include <unordered_map>

namespace gguf_fuse {
namespace {

/// A piece, and where it lies in the planned tensor.
struct PlacedPiece {
  SourcePiece piece;
  std::uint64_t offset;
};

/// The parts of a run within [begin, end) of the planned tensor.
void append_pieces(const Run& run, std::uint64_t begin, std::uint64_t end, std::vector<PlacedPiece>& out) {
  std::uint64_t i = 0;
  if (run.count > 1 && begin > run.offset) i = std::min((begin - run.offset) / run.stride, run.count);
  for (; i < run.count && run.offset + i * run.stride < end; ++i) {
    const std::uint64_t at = run.offset + i * run.stride;
    const std::uint64_t from = std::max(at, begin);
    const std::uint64_t to = std::min(at + run.bytes, end);
    if (from >= to) continue;
    out.push_back({{run.source, run.source_offset + i * run.source_stride + (from - at), to - from}, from});
  }
}

/// The sources of [begin, end) of a planned tensor, in order; neighbours joined.
std::vector<SourcePiece> source_pieces(const PlannedTensor& tensor, std::uint64_t begin, std::uint64_t end) {
  std::vector<PlacedPiece> found;
  for (const Run& run : tensor.runs) append_pieces(run, begin, end, found);
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.offset < b.offset; });
  std::vector<SourcePiece> pieces;
  for (const PlacedPiece& next : found) {
    const bool joins =
        !pieces.empty() && pieces.back().source == next.piece.source && pieces.back().end() == next.piece.offset;
    if (joins) {
      pieces.back().bytes += next.piece.bytes;
    } else {
      pieces.push_back(next.piece);
    }
  }
  return pieces;
}

class Cutter {
 public:
  Cutter(std::uint64_t job_bytes, JobList& list) : job_bytes_(job_bytes), list_(list) {}

  /// `unit`: bytes of the source that must stay together (a tile), which take `placed` bytes at their place.
  void cut(std::uint32_t placement, const std::vector<SourcePiece>& pieces, std::uint64_t bytes, std::uint64_t unit,
           std::uint64_t placed, std::uint64_t offset) {
    const std::uint64_t units = (bytes + unit - 1) / unit;
    const std::uint64_t most = std::max<std::uint64_t>(job_bytes_ / unit, 1);
    const std::uint64_t jobs = (units + most - 1) / most;
    std::size_t piece = 0;
    std::uint64_t used = 0;  // of pieces[piece]
    for (std::uint64_t i = 0; i < jobs; ++i) {
      // Of nearly equal size, so that no thread gets crumbs.
      const std::uint64_t first = units * i / jobs, last = units * (i + 1) / jobs;
      LoadJob job{.placement = placement,
                  .first_piece = static_cast<std::uint32_t>(list_.pieces.size()),
                  .bytes = std::min(last * unit, bytes) - first * unit,
                  .offset = offset + first * placed,
                  .placed = (last - first) * placed};
      for (std::uint64_t missing = job.bytes; missing > 0;) {
        const SourcePiece& from = pieces[piece];
        const std::uint64_t count = std::min(missing, from.bytes - used);
        list_.pieces.push_back({from.source, from.offset + used, count});
        ++job.piece_count;
        missing -= count;
        used += count;
        if (used == from.bytes) {
          ++piece;
          used = 0;
        }
      }
      list_.jobs.push_back(job);
    }
  }

 private:
  std::uint64_t job_bytes_;
  JobList& list_;
};

auto source_key(const JobList& list, const LoadJob& job) {
  const SourcePiece& first = list.pieces[job.first_piece];
  return std::tuple(first.source, first.offset, job.placement, job.offset);
}

}  // namespace

std::uint64_t JobList::bytes() const {
  std::uint64_t sum = 0;
  for (const LoadJob& job : jobs) sum += job.bytes;
  return sum;
}

std::uint64_t JobList::largest_job() const {
  std::uint64_t most = 0;
  for (const LoadJob& job : jobs) most = std::max(most, job.bytes);
  return most;
}

std::uint64_t JobList::largest_place() const {
  std::uint64_t most = 0;
  for (const LoadJob& job : jobs) most = std::max(most, job.placed);
  return most;
}

JobList cut_jobs(const PlannedFile& file, std::span<const Placement> placements, std::uint64_t job_bytes) {
  JobList list;
  Cutter cutter(job_bytes, list);
  for (std::size_t i = 0; i < placements.size(); ++i) {
    const Placement& placement = placements[i];
    const PlannedTensor& tensor = file.tensors[placement.tensor];
    const std::uint64_t tensor_rows = std::max<std::uint64_t>(row_count(tensor.dims).value_or(1), 1);
    // Floats are counted one by one.
    const std::uint64_t row = placement.matrix.buffer ? tensor.bytes / tensor_rows : sizeof(float);
    const std::uint64_t begin = placement.first_row * row;
    const std::uint64_t bytes = placement.rows * row;
    if (bytes == 0) continue;
    const std::vector<SourcePiece> pieces = source_pieces(tensor, begin, begin + bytes);
    const auto index = static_cast<std::uint32_t>(i);
    if (placement.matrix.buffer) {
      cutter.cut(index, pieces, bytes, kTileRows * row, placement.matrix.shape.tile_bytes(), placement.matrix.offset);
    } else {
      cutter.cut(index, pieces, bytes, row, row, placement.host != nullptr ? 0 : placement.float_offset);
    }
  }
  std::sort(list.jobs.begin(), list.jobs.end(),
            [&](const LoadJob& a, const LoadJob& b) { return source_key(list, a) < source_key(list, b); });
  return list;
}

void sort_by_place(std::vector<LoadJob>& jobs, std::span<const Placement> placements) {
  // Buffers in the order in which the source first comes to them.
  std::unordered_map<const void*, std::size_t> order;
  for (const LoadJob& job : jobs) order.emplace(buffer_of(placements[job.placement]).identity(), order.size());
  const auto key = [&](const LoadJob& job) {
    return std::pair(order.at(buffer_of(placements[job.placement]).identity()), job.offset);
  };
  std::stable_sort(jobs.begin(), jobs.end(), [&](const auto& a, const auto& b) { return key(a) < key(b); });
}

std::vector<UploadWrite> writes_of(std::span<const LoadJob> jobs, std::span<const Placement> placements,
                                   UploadStrategy strategy) {
  std::vector<UploadWrite> slices;
  std::uint64_t slot_offset = 0;
  for (const LoadJob& job : jobs) {
    const Buffer& buffer = buffer_of(placements[job.placement]);
    const bool same = !slices.empty() && slices.back().buffer.identity() == buffer.identity();
    if (same && slices.back().offset + slices.back().bytes == job.offset) {
      slices.back().bytes += job.placed;
    } else {
      slices.push_back({.buffer = buffer, .offset = job.offset, .slot_offset = slot_offset, .bytes = job.placed});
    }
    slot_offset += job.placed;
  }
  if (strategy != UploadStrategy::Rectangle) return slices;
  std::vector<UploadWrite> writes;
  for (UploadWrite& slice : slices) {
    UploadWrite* last = writes.empty() ? nullptr : &writes.back();
    const bool alike = last != nullptr && last->buffer.identity() == slice.buffer.identity() &&
                       last->bytes == slice.bytes && slice.offset > last->offset;
    const std::uint64_t distance = alike ? slice.offset - last->offset - (last->count - 1) * last->stride : 0;
    if (alike && distance >= slice.bytes && (last->count == 1 || distance == last->stride)) {
      last->stride = distance;
      ++last->count;
    } else {
      writes.push_back(std::move(slice));
    }
  }
  return writes;
}

}  // namespace gguf_fuse
