// SPDX-License-Identifier: MIT
#include "load/load_lanes.hpp"

#include <algorithm>
#include <tuple>

namespace gguf_fuse::runtime::detail {
namespace {

constexpr std::uint64_t kSlotBytes = std::uint64_t{4} << 20;
constexpr std::uint64_t kRingsBytes = std::uint64_t{128} << 20;
/// More than one a thread: what is filled must not wait for what travels.
constexpr std::size_t kSpareSlots = 2;

}  // namespace

RingSize ring_size(std::uint64_t slot_bytes, std::uint64_t largest_place, unsigned threads, std::size_t rings) {
  const std::uint64_t slot = std::max(slot_bytes != 0 ? slot_bytes : kSlotBytes, largest_place);
  const std::uint64_t most = kRingsBytes / std::max<std::size_t>(rings, 1) / slot;
  return {.slots = std::clamp<std::size_t>(threads + kSpareSlots, 2, std::max<std::size_t>(most, 2)),
          .slot_bytes = slot};
}

Result<std::unique_ptr<Lanes>> Lanes::make(JobList list, std::span<const Placement> placements,
                                           std::span<const std::shared_ptr<Device>> devices,
                                           const LaneOptions& options) {
  std::unique_ptr<Lanes> lanes(new Lanes(devices));
  lanes->list_ = std::move(list);
  GGUF_FUSE_CHECK(lanes->divide(placements, options));
  GGUF_FUSE_CHECK(lanes->make_rings(placements, options));
  lanes->cut_batches(options);
  return lanes;
}

/// Gives every placement a lane, and the lanes their jobs.
Result<void> Lanes::divide(std::span<const Placement> placements, const LaneOptions& options) {
  lanes_.emplace_back();
  std::vector<std::size_t> lane_of(placements.size());
  bases_.resize(placements.size());
  for (std::size_t i = 0; i < placements.size(); ++i) {
    const Placement& placement = placements[i];
    if (placement.host != nullptr) {
      bases_[i] = reinterpret_cast<std::byte*>(placement.host->data());
      continue;
    }
    const auto device = std::find_if(devices_.begin(), devices_.end(),
                                     [&](const auto& one) { return one->owns(buffer_of(placement)); });
    if (device == devices_.end()) {
      return fail({.code = ErrorCode::InvalidArgument, .expected = "a place on one of the devices"});
    }
    // What cannot be mapped is uploaded, as to a device with memory of its own.
    if (!options.upload && (*device)->profile().host_memory && map(placement, bases_[i])) continue;
    const auto index = static_cast<std::size_t>(device - devices_.begin());
    const auto known = std::find(lane_devices_.begin(), lane_devices_.end(), index);
    lane_of[i] = 1 + static_cast<std::size_t>(known - lane_devices_.begin());
    if (known == lane_devices_.end()) {
      lane_devices_.push_back(index);
      lanes_.emplace_back();
    }
  }
  for (const LoadJob& job : list_.jobs) lanes_[lane_of[job.placement]].jobs.push_back(job);
  if (options.by_place) sort_by_place(lanes_.front().jobs, placements);
  return {};
}

Result<void> Lanes::map(const Placement& placement, std::byte*& base) {
  const Buffer& buffer = buffer_of(placement);
  auto mapped = mappings_.find(buffer.identity());
  if (mapped == mappings_.end()) {
    // Not Write: what lies between the places keeps its content.
    GGUF_FUSE_ASSIGN(Mapping mapping, buffer.map(MapAccess::ReadWrite));
    mapped = mappings_.emplace(buffer.identity(), std::move(mapping)).first;
  }
  base = mapped->second.bytes().data();
  return {};
}

Result<void> Lanes::make_rings(std::span<const Placement> placements, const LaneOptions& options) {
  const RingSize size = ring_size(options.slot_bytes, list_.largest_place(), options.threads, lane_devices_.size());
  slot_bytes_ = size.slot_bytes;
  for (std::size_t i = 0; i < lane_devices_.size(); ++i) {
    Lane& lane = lanes_[i + 1];
    const Device& device = *devices_[lane_devices_[i]];
    GGUF_FUSE_CHECK(device.finish());  // buffers may still be being filled with zeros, on another queue
    if (options.upload) {
      lane.strategy = *options.upload;
    } else {
      lane.strategy = fastest_upload(device).value_or(UploadStrategy::Slices);  // what needs least of a driver
    }
    if (options.sequential && lane.strategy == UploadStrategy::Gather) lane.strategy = UploadStrategy::Rectangle;
    if (lane.strategy == UploadStrategy::Gather) sort_by_place(lane.jobs, placements);
    GGUF_FUSE_ASSIGN(lane.uploader, Uploader::make(device, size.slots, size.slot_bytes));
  }
  list_.jobs = {};
  return {};
}

void Lanes::cut_batches(const LaneOptions& options) {
  struct Ordered {
    double turn;
    std::uint32_t source;
    std::uint64_t offset;
    Batch batch;
  };
  std::vector<Ordered> ordered;
  for (Lane& lane : lanes_) {
    for (std::size_t first = 0; first < lane.jobs.size();) {
      std::uint64_t bytes = lane.jobs[first].placed;
      std::size_t last = first + 1;
      for (; lane.uploader && last < lane.jobs.size(); ++last) {
        bytes += lane.jobs[last].placed;
        if (bytes > slot_bytes_) break;
      }
      const Piece& piece = list_.pieces[lane.jobs[first].first_piece];
      // A lane that gathers has an order of its own, which this keeps.
      const double turn = options.sequential ? 0 : static_cast<double>(first) / static_cast<double>(lane.jobs.size());
      ordered.push_back(
          {turn, piece.source, piece.source_offset, {.lane = &lane, .first = first, .count = last - first}});
      first = last;
    }
  }
  std::sort(ordered.begin(), ordered.end(), [](const Ordered& a, const Ordered& b) {
    return std::tie(a.turn, a.source, a.offset, a.batch.lane, a.batch.first) <
           std::tie(b.turn, b.source, b.offset, b.batch.lane, b.batch.first);
  });
  batches_.reserve(ordered.size());
  for (const Ordered& one : ordered) batches_.push_back(one.batch);
}

Result<void> Lanes::finish() {
  for (auto& [buffer, mapping] : mappings_) GGUF_FUSE_CHECK(mapping.unmap());
  mappings_.clear();
  for (const Lane& lane : lanes_) {
    if (lane.uploader) GGUF_FUSE_CHECK(lane.uploader->finish());
  }
  for (const auto& device : devices_) GGUF_FUSE_CHECK(device->finish());
  return {};
}

std::uint64_t Lanes::staging_bytes() const {
  std::uint64_t bytes = 0;
  for (const Lane& lane : lanes_) bytes += lane.uploader ? lane.uploader->staging_bytes() : 0;
  return bytes;
}

double Lanes::upload_seconds() const {
  double seconds = 0;
  for (const Lane& lane : lanes_) seconds += lane.uploader ? lane.uploader->busy_seconds() : 0;
  return lanes_.size() > 1 ? seconds / static_cast<double>(lanes_.size() - 1) : 0;
}

std::optional<UploadStrategy> Lanes::strategy() const {
  return lanes_.size() > 1 ? std::optional(lanes_[1].strategy) : std::nullopt;
}

}  // namespace gguf_fuse::runtime::detail
