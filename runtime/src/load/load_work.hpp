// SPDX-License-Identifier: MIT
#pragma once

#include "gguf_fuse/fuse/team.hpp"
#include "gguf_fuse/loader/page_bytes.hpp"
#include "load/load.hpp"
#include "load/load_lanes.hpp"

namespace gguf_fuse::runtime::detail {

/// Seconds that threads were busy with, and how many threads that were.
struct StageTime {
  double seconds = 0;
  unsigned threads = 0;

  [[nodiscard]] double each() const { return threads > 0 ? seconds / threads : 0; }
};

struct StageTimes {
  StageTime read{};
  StageTime repack{};
};

/// Reads jobs from sources with random access, for one thread.
class JobReader {
 public:
  JobReader(const LoadInput& input, const JobList& list, std::uint64_t largest_job);

  /// The job's bytes, until the next call; from a mapping without a copy.
  [[nodiscard]] Result<std::span<const std::byte>> read(const LoadJob& job);
  /// The bytes of the last read() are not needed any more.
  void release();

 private:
  const LoadInput& input_;
  const JobList& list_;
  std::uint64_t buffer_bytes_;
  PageBytes buffer_;
  Source* viewed_ = nullptr;
  std::span<const std::byte> view_;
};

/// Brings the bytes of batches to their places; one a thread.
class Placer {
 public:
  Placer(const LoadInput& input, const Lanes& lanes) : input_(input), lanes_(lanes) {}

  /// `bytes_of(job)` gives the source's bytes, `done(job)` lets go of them.
  template <typename BytesOf, typename Done>
  Result<void> place(const Batch& batch, BytesOf&& bytes_of, Done&& done);

  [[nodiscard]] double seconds() const { return seconds_; }  ///< of packing

 private:
  Result<void> pack(const LoadJob& job, std::span<const std::byte> bytes, std::span<std::byte> out);
  Result<void> send(const Batch& batch, Uploader::Slot slot);
  [[nodiscard]] const std::string& tensor_name(const LoadJob& job) const {
    return input_.file.tensors[input_.placements[job.placement].tensor].name;
  }

  const LoadInput& input_;
  const Lanes& lanes_;
  double seconds_ = 0;
};

[[nodiscard]] Error interrupted_loading(const Model& model);

template <typename BytesOf, typename Done>
Result<void> Placer::place(const Batch& batch, BytesOf&& bytes_of, Done&& done) {
  std::optional<Uploader::Slot> slot;
  if (batch.lane->uploader) {
    GGUF_FUSE_ASSIGN(Uploader::Slot taken, batch.lane->uploader->take());
    slot.emplace(std::move(taken));
  }
  std::uint64_t filled = 0;
  for (const LoadJob& job : batch.jobs()) {
    if (input_.stopped()) return fail(interrupted_loading(input_.model));
    GGUF_FUSE_ASSIGN(const std::span<const std::byte> bytes, bytes_of(job));
    std::byte* out = slot ? slot->bytes().data() + filled : lanes_.host_place(job);
    GGUF_FUSE_CHECK(pack(job, bytes, {out, job.placed}));
    done(job);
    filled += job.placed;
    input_.control->bytes_done.fetch_add(job.bytes, std::memory_order_relaxed);
  }
  return slot ? send(batch, std::move(*slot)) : Result<void>{};
}

/// Several threads that each read and place. Random access.
[[nodiscard]] Result<StageTimes> load_in_parallel(const LoadInput& input, Lanes& lanes, unsigned threads);
/// One thread reads the only source from front to back, the others place. Sets the container's file_bytes.
[[nodiscard]] Result<StageTimes> load_stream(const LoadInput& input, Lanes& lanes, unsigned threads);

}  // namespace gguf_fuse::runtime::detail
