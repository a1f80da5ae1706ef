// SPDX-License-Identifier: MIT
#include "load/load_jobs.hpp"

#include <algorithm>
#include <tuple>
#include <unordered_map>

namespace gguf_fuse::runtime::detail {
namespace {

/// Cuts `whole`, which takes its bytes of `map` from `begin` on, into jobs. `unit`: how many must stay together (a
/// tile).
void cut(const LoadJob& whole, const ByteMap& map, std::uint64_t begin, std::uint64_t unit, std::uint64_t job_bytes,
         JobList& list) {
  const std::uint64_t units = (whole.bytes + unit - 1) / unit;
  const std::uint64_t placed = whole.placed / units;
  const std::uint64_t most = std::max<std::uint64_t>(job_bytes / unit, 1);
  const std::uint64_t jobs = (units + most - 1) / most;
  for (std::uint64_t i = 0; i < jobs; ++i) {
    // Of nearly equal size, so that no thread gets crumbs.
    const std::uint64_t first = units * i / jobs, last = units * (i + 1) / jobs;
    const std::uint64_t end = std::min(last * unit, whole.bytes);
    const std::vector<Piece> pieces = map.pieces(begin + first * unit, begin + end);
    LoadJob job = whole;
    job.first_piece = static_cast<std::uint32_t>(list.pieces.size());
    job.piece_count = static_cast<std::uint32_t>(pieces.size());
    job.bytes = end - first * unit;
    job.offset += first * placed;
    job.placed = (last - first) * placed;
    list.pieces.insert(list.pieces.end(), pieces.begin(), pieces.end());
    list.jobs.push_back(job);
  }
}

auto source_key(const JobList& list, const LoadJob& job) {
  const Piece& first = list.pieces[job.first_piece];
  return std::tuple(first.source, first.source_offset, job.placement, job.offset);
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
  for (std::size_t i = 0; i < placements.size(); ++i) {
    const Placement& placement = placements[i];
    const PlannedTensor& tensor = file.tensors[placement.tensor];
    const std::uint64_t tensor_rows = std::max<std::uint64_t>(row_count(tensor.dims).value_or(1), 1);
    LoadJob whole{.placement = static_cast<std::uint32_t>(i)};
    // Floats are counted one by one.
    std::uint64_t row = sizeof(float), unit = row;
    if (placement.matrix.buffer) {
      row = tensor.bytes / tensor_rows;
      unit = kTileRows * row;
      whole.offset = placement.matrix.offset;
      whole.placed = (placement.rows + kTileRows - 1) / kTileRows * placement.matrix.shape.tile_bytes();
    } else {
      whole.offset = placement.host != nullptr ? 0 : placement.float_offset;
      whole.placed = placement.rows * row;
    }
    whole.bytes = placement.rows * row;
    if (whole.bytes != 0) cut(whole, tensor.map, placement.first_row * row, unit, job_bytes, list);
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
  // From the slot to each of the buffers, which are numbered as they come.
  std::vector<const Buffer*> buffers;
  ByteMap map;
  std::uint64_t slot_offset = 0;
  for (const LoadJob& job : jobs) {
    const Buffer& buffer = buffer_of(placements[job.placement]);
    if (buffers.empty() || buffers.back()->identity() != buffer.identity()) buffers.push_back(&buffer);
    map.add(Piece{static_cast<std::uint32_t>(buffers.size() - 1), slot_offset, job.offset, job.placed});
    slot_offset += job.placed;
  }
  std::vector<UploadWrite> writes;
  for (const Run& run : map.runs()) {
    const UploadWrite whole{.buffer = *buffers[run.source],
                            .offset = run.offset,
                            .slot_offset = run.source_offset,
                            .bytes = run.bytes,
                            .count = run.count,
                            .stride = run.stride};
    if (strategy == UploadStrategy::Rectangle) {
      writes.push_back(whole);
      continue;
    }
    for (std::uint64_t i = 0; i < run.count; ++i) {
      const Piece piece = run.piece(i);
      writes.push_back(
          {.buffer = whole.buffer, .offset = piece.offset, .slot_offset = piece.source_offset, .bytes = piece.bytes});
    }
  }
  return writes;
}

}  // namespace gguf_fuse::runtime::detail
