// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>

#include "weights.hpp"

namespace gguf_fuse {
namespace {

/// The file's bytes of one placement: [begin, end) of the plan's file.
struct Region {
  std::uint64_t begin;
  std::uint64_t end;
  const Placement* placement;
  std::uint64_t row_bytes;
  std::byte* mapped;  // of the destination, when it lies in host memory
};

class PackingSink final : public Sink {
 public:
  explicit PackingSink(std::string path) : path_(std::move(path)) {}

  Result<void> add(const PlannedFile& file, const Placement& placement) {
    const PlannedTensor& tensor = file.tensors[placement.tensor];
    const std::uint64_t row = tensor.bytes / row_count(tensor.dims).value_or(1);
    const std::uint64_t begin = tensor.offset + placement.first_row * row;
    std::byte* mapped = nullptr;
    if (const Matrix& matrix = placement.matrix; matrix.buffer) {
      GGUF_FUSE_ASSIGN(Mapping mapping, matrix.buffer.map(MapAccess::Write, matrix.offset, matrix.shape.bytes()));
      mapped = mapping.bytes().data();
      mappings_.push_back(std::move(mapping));
    }
    regions_.push_back({.begin = begin,
                        .end = begin + placement.rows * row,
                        .placement = &placement,
                        .row_bytes = row,
                        .mapped = mapped});
    longest_ = std::max(longest_, placement.rows * row);
    return {};
  }

  void seal() {
    std::sort(regions_.begin(), regions_.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
  }

  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
    const std::uint64_t end = offset + bytes.size();
    // Regions may overlap (a tied output on a second device), but none is longer than the longest.
    const std::uint64_t from = offset > longest_ ? offset - longest_ : 0;
    auto region = std::lower_bound(regions_.begin(), regions_.end(), from,
                                   [](const Region& a, std::uint64_t position) { return a.begin < position; });
    for (; region != regions_.end() && region->begin < end; ++region) {
      const std::uint64_t first = std::max(offset, region->begin);
      const std::uint64_t last = std::min(end, region->end);
      if (first < last)
        GGUF_FUSE_CHECK(take(*region, first - region->begin, bytes.subspan(first - offset, last - first)));
    }
    return {};
  }

  [[nodiscard]] bool sequential() const override { return false; }
  [[nodiscard]] const std::string& path() const override { return path_; }

  Result<void> commit() override {
    for (Mapping& mapping : mappings_) GGUF_FUSE_CHECK(mapping.unmap());
    mappings_.clear();
    return {};
  }

 private:
  /// Bytes of a region, `offset` behind its beginning.
  Result<void> take(const Region& region, std::uint64_t offset, std::span<const std::byte> bytes) {
    const Placement& placement = *region.placement;
    if (placement.host != nullptr) {
      std::memcpy(reinterpret_cast<std::byte*>(placement.host->data()) + offset, bytes.data(), bytes.size());
      return {};
    }
    if (placement.floats) return placement.floats.write(bytes, placement.float_offset + offset);
    const std::uint64_t tile = kTileRows * region.row_bytes;
    while (!bytes.empty()) {
      const std::uint64_t index = offset / tile;
      const std::uint64_t tile_begin = index * tile;
      const std::uint64_t tile_end = std::min(tile_begin + tile, region.end - region.begin);
      const auto piece = bytes.first(std::min<std::uint64_t>(bytes.size(), tile_end - offset));
      if (piece.size() == tile_end - tile_begin) {
        GGUF_FUSE_CHECK(pack(region, index, piece));
      } else {
        GGUF_FUSE_CHECK(collect(region, index, offset - tile_begin, tile_end - tile_begin, piece));
      }
      offset += piece.size();
      bytes = bytes.subspan(piece.size());
    }
    return {};
  }

  Result<void> pack(const Region& region, std::uint64_t index, std::span<const std::byte> rows) {
    const PackedShape& shape = region.placement->matrix.shape;
    const std::uint64_t bytes = shape.tile_bytes();
    return pack_tile(shape, rows, {region.mapped + index * bytes, bytes});
  }

  /// A tile that comes in pieces waits until it is complete.
  Result<void> collect(const Region& region, std::uint64_t index, std::uint64_t offset, std::uint64_t size,
                       std::span<const std::byte> piece) {
    std::vector<std::byte> complete;
    {
      const std::lock_guard lock(mutex_);
      const auto key = std::pair(region.placement, index);
      Partial& partial = partials_[key];
      partial.rows.resize(size);
      std::memcpy(partial.rows.data() + offset, piece.data(), piece.size());
      partial.filled += piece.size();
      if (partial.filled < size) return {};
      complete = std::move(partial.rows);
      partials_.erase(key);
    }
    return pack(region, index, complete);
  }

  struct Partial {
    std::vector<std::byte> rows;
    std::uint64_t filled = 0;
  };

  std::string path_;
  std::vector<Region> regions_;
  std::vector<Mapping> mappings_;
  std::uint64_t longest_ = 0;
  std::mutex mutex_;
  std::map<std::pair<const Placement*, std::uint64_t>, Partial> partials_;
};

}  // namespace

Result<std::unique_ptr<Sink>> packing_sink(const PlannedFile& file, const WeightMap& map, std::string path) {
  auto sink = std::make_unique<PackingSink>(std::move(path));
  for (const Placement& placement : map.placements) GGUF_FUSE_CHECK(sink->add(file, placement));
  sink->seal();
  return sink;
}

}  // namespace gguf_fuse
