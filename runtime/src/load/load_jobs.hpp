// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "gguf_fuse/fuse/plan.hpp"
#include "gguf_fuse/kernels/upload.hpp"
#include "model/weight_map.hpp"

namespace gguf_fuse::runtime::detail {

/// What one thread does at once: read the pieces, one behind the other, and bring them to their place.
struct LoadJob {
  std::uint32_t placement = 0;
  std::uint32_t first_piece = 0;  ///< in JobList::pieces
  std::uint32_t piece_count = 0;
  std::uint64_t bytes = 0;   ///< of the source: whole tiles of 16 rows (the last one may have fewer), or any floats
  std::uint64_t offset = 0;  ///< in the placement's buffer (matrix or floats), or in its host vector
  std::uint64_t placed = 0;  ///< bytes there
};

struct JobList {
  std::vector<LoadJob> jobs;
  std::vector<Piece> pieces;  ///< into the planned tensors

  [[nodiscard]] std::span<const Piece> pieces_of(const LoadJob& job) const {
    return std::span(pieces).subspan(job.first_piece, job.piece_count);
  }
  [[nodiscard]] std::uint64_t bytes() const;          ///< of all jobs
  [[nodiscard]] std::uint64_t largest_job() const;    ///< LoadJob::bytes
  [[nodiscard]] std::uint64_t largest_place() const;  ///< LoadJob::placed
};

/// Cuts placements into jobs of at most `job_bytes` bytes, though of at least one tile, and sorts them by where they
/// begin in the sources. Fused or not, the same bytes are read in the same order: only the places differ.
[[nodiscard]] JobList cut_jobs(const PlannedFile& file, std::span<const Placement> placements, std::uint64_t job_bytes);

/// Sorts by where jobs go: what is neighbours there follows one another. For UploadStrategy::Gather.
void sort_by_place(std::vector<LoadJob>& jobs, std::span<const Placement> placements);

/// The writes that bring `jobs`, whose places lie one behind the other in a slot, to their buffers: neighbours are
/// joined, and for Rectangle slices of equal size and distance become one.
[[nodiscard]] std::vector<UploadWrite> writes_of(std::span<const LoadJob> jobs, std::span<const Placement> placements,
                                                 UploadStrategy strategy);

/// The placement's buffer; empty when it goes to the host.
[[nodiscard]] inline const Buffer& buffer_of(const Placement& placement) {
  return placement.matrix.buffer ? placement.matrix.buffer : placement.floats;
}

}  // namespace gguf_fuse::runtime::detail
