// SPDX-License-Identifier: MIT
#include "load/matrix_scales.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "gguf_fuse/kernels/upload.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

constexpr std::uint64_t kFactorBytes = kTileRows * sizeof(float);
constexpr std::uint64_t kSlotBytes = std::uint64_t{256} << 10;
constexpr std::uint64_t kSlotTiles = kSlotBytes / kFactorBytes;
constexpr std::size_t kSlots = 4;

/// Rows of a placed matrix that a factor multiplies.
struct ScaledRows {
  const Placement* placement;
  std::uint64_t first, rows;
  float factor;
};

bool is_neutral(const MatrixScale& scale) {
  return std::all_of(scale.values.begin(), scale.values.end(), [](float value) { return value == 1; });
}

Error unsupported(const MatrixScale& scale, const std::string& path) {
  const auto other = std::find_if(scale.values.begin(), scale.values.end(), [](float value) { return value != 1; });
  return {.code = ErrorCode::UnsupportedHyperparameter,
          .path = path,
          .subject = scale.tensor,
          .expected = fmt::format("1, as kernels multiply rows of {} by no factor", scale.of.type->name),
          .actual = fmt::format("{}", *other)};
}

/// Where rows of a matrix were placed, which need not be all of them, and may be twice.
void find_rows(const MatrixScale& scale, const Placement& placement, std::vector<ScaledRows>& out) {
  const TensorView& of = scale.of;
  const std::uint64_t stride = std::max<std::uint64_t>(of.stride, 1), last_row = placement.first_row + placement.rows;
  const std::uint64_t before = std::max(placement.first_row, of.first_row) - of.first_row;
  for (std::uint64_t i = before / stride; i < of.matrices; ++i) {
    const std::uint64_t first = of.first_row + i * stride;
    if (first >= last_row) return;
    const std::uint64_t begin = std::max(first, placement.first_row), end = std::min(first + of.rows, last_row);
    if (begin >= end) continue;
    out.push_back({.placement = &placement,
                   .first = begin - placement.first_row,
                   .rows = end - begin,
                   .factor = scale.values[scale.values.size() == 1 ? 0 : i]});
  }
}

/// All of them, by placement.
std::vector<ScaledRows> all_rows(const WeightMap& map) {
  std::vector<ScaledRows> rows;
  for (const auto& scale : map.scales) {
    if (is_neutral(*scale)) continue;
    const auto by_tensor = [](const Placement& placement, std::size_t tensor) { return placement.tensor < tensor; };
    auto at = std::lower_bound(map.placements.begin(), map.placements.end(), scale->of.tensor, by_tensor);
    for (; at != map.placements.end() && at->tensor == scale->of.tensor; ++at) find_rows(*scale, *at, rows);
  }
  std::stable_sort(rows.begin(), rows.end(),
                   [](const ScaledRows& a, const ScaledRows& b) { return a.placement < b.placement; });
  return rows;
}

/// Writes factors behind the rows that they belong to.
class FactorWriter {
 public:
  explicit FactorWriter(std::span<const std::shared_ptr<Device>> devices) : devices_(devices) {}

  /// `rows` are of one placement; factors of others are 1.
  Result<void> write(std::span<const ScaledRows> rows) {
    const Matrix& matrix = rows.front().placement->matrix;
    std::vector<float> factors(std::size_t{matrix.shape.tiles()} * kTileRows, 1.0F);
    for (const ScaledRows& one : rows) {
      for (std::uint64_t row = one.first; row < one.first + one.rows; ++row) factors[row] *= one.factor;
    }
    GGUF_FUSE_ASSIGN(Uploader* const uploader, uploader_of(matrix.buffer));
    for (std::uint64_t tile = 0; tile < matrix.shape.tiles(); tile += kSlotTiles) {
      const std::uint64_t count = std::min(kSlotTiles, matrix.shape.tiles() - tile);
      GGUF_FUSE_ASSIGN(Uploader::Slot slot, uploader->take());
      std::memcpy(slot.bytes().data(), factors.data() + tile * kTileRows, count * kFactorBytes);
      const std::uint64_t stride = matrix.shape.tile_bytes();
      const UploadWrite write{.buffer = matrix.buffer,
                              .offset = matrix.offset + tile * stride + *matrix.shape.factors_at(),
                              .bytes = kFactorBytes,
                              .count = count,
                              .stride = stride};
      GGUF_FUSE_CHECK(uploader->send(std::move(slot), {&write, 1}, "scales"));
    }
    return {};
  }

  Result<void> finish() {
    for (const auto& [device, uploader] : uploaders_) GGUF_FUSE_CHECK(uploader->finish());
    return {};
  }

 private:
  Result<Uploader*> uploader_of(const Buffer& buffer) {
    const auto device =
        std::find_if(devices_.begin(), devices_.end(), [&](const auto& one) { return one->owns(buffer); });
    auto& uploader = uploaders_[device->get()];
    if (!uploader) {
      GGUF_FUSE_ASSIGN(uploader, Uploader::make(**device, kSlots, kSlotBytes));
    }
    return uploader.get();
  }

  std::span<const std::shared_ptr<Device>> devices_;
  std::map<const Device*, std::unique_ptr<Uploader>> uploaders_;
};

}  // namespace

Result<void> apply_scales(const WeightMap& map, std::span<const std::shared_ptr<Device>> devices,
                          const std::string& path) {
  for (const auto& scale : map.scales) {
    const PackedShape shape{
        .type = scale->of.type, .rows = 1, .columns = static_cast<std::uint32_t>(scale->of.dims[0])};
    if (!is_neutral(*scale) && !shape.factors_at()) return fail(unsupported(*scale, path));
  }
  const std::vector<ScaledRows> rows = all_rows(map);
  FactorWriter writer(devices);
  for (auto first = rows.begin(); first != rows.end();) {
    const auto last =
        std::find_if(first, rows.end(), [&](const ScaledRows& one) { return one.placement != first->placement; });
    GGUF_FUSE_CHECK(writer.write({first, last}));
    first = last;
  }
  return writer.finish();
}

}  // namespace gguf_fuse::runtime::detail
