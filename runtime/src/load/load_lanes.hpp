// SPDX-License-Identifier: MIT
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "gguf_fuse/kernels/device.hpp"
#include "load/load_jobs.hpp"

namespace gguf_fuse::runtime::detail {

/// A way to the weights' places: the host's memory, where everything is packed to its place, or a device's staging
/// ring.
struct Lane {
  std::unique_ptr<Uploader> uploader{};  ///< none: host memory
  UploadStrategy strategy = UploadStrategy::Rectangle;
  std::vector<LoadJob> jobs{};
};

/// Consecutive jobs of a lane that share a slot of its ring; a single one without a ring.
struct Batch {
  Lane* lane = nullptr;
  std::size_t first = 0;
  std::size_t count = 0;

  [[nodiscard]] std::span<const LoadJob> jobs() const { return std::span(lane->jobs).subspan(first, count); }
};

struct LaneOptions {
  std::optional<UploadStrategy> upload{};  ///< also makes devices that share the host's memory use a ring
  bool sequential = false;                 ///< jobs must stay in the order of the source
  bool by_place = false;                   ///< those of host memory need not, and are sorted by where they go
  unsigned threads = 1;
  std::uint64_t slot_bytes = 0;  ///< as LoadInput::slot_bytes
};

/// Where every placement is, ready to be written from any thread.
class Lanes {
 public:
  /// Maps what lies in host memory, makes rings for the other devices and divides the jobs. Errors: those of Buffer,
  /// Uploader and fastest_upload.
  [[nodiscard]] static Result<std::unique_ptr<Lanes>> make(JobList list, std::span<const Placement> placements,
                                                           std::span<const std::shared_ptr<Device>> devices,
                                                           const LaneOptions& options);

  /// In the order in which they are to be worked on: that of the source; several rings take turns, so that all devices
  /// are busy at once.
  [[nodiscard]] const std::vector<Batch>& batches() const { return batches_; }
  [[nodiscard]] const JobList& list() const { return list_; }  ///< without jobs: the lanes have them

  /// Where a job's bytes go when they need no ring.
  [[nodiscard]] std::byte* host_place(const LoadJob& job) const { return bases_[job.placement] + job.offset; }

  /// Hands all memory to the devices and waits for them. Errors: those of Buffer, Uploader and Device::finish.
  [[nodiscard]] Result<void> finish();

  [[nodiscard]] std::uint64_t staging_bytes() const;
  /// How long the rings' devices were transferring, on average.
  [[nodiscard]] double upload_seconds() const;
  [[nodiscard]] std::optional<UploadStrategy> strategy() const;  ///< of the first ring

 private:
  explicit Lanes(std::span<const std::shared_ptr<Device>> devices) : devices_(devices) {}

  Result<void> divide(std::span<const Placement> placements, const LaneOptions& options);
  Result<void> map(const Placement& placement, std::byte*& base);
  Result<void> make_rings(std::span<const Placement> placements, const LaneOptions& options);
  void cut_batches(const LaneOptions& options);

  std::span<const std::shared_ptr<Device>> devices_;
  JobList list_;
  std::map<const void*, Mapping> mappings_;  // by buffer
  std::vector<std::byte*> bases_;            // of each placement; null behind a ring
  std::vector<std::size_t> lane_devices_;    // of each lane but the first
  std::vector<Lane> lanes_;                  // the first: host memory
  std::uint64_t slot_bytes_ = 0;
  std::vector<Batch> batches_;
};

/// Of one ring of `rings`: how many slots of how many bytes.
struct RingSize {
  std::size_t slots = 0;
  std::uint64_t slot_bytes = 0;
};
/// All rings together stay below 128 MiB as long as a share of it has room for two of the largest job.
[[nodiscard]] RingSize ring_size(std::uint64_t slot_bytes, std::uint64_t largest_place, unsigned threads,
                                 std::size_t rings);

}  // namespace gguf_fuse::runtime::detail
