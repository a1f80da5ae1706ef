// SPDX-License-Identifier: MIT
#include "tensor_places.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "unneeded.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

/// Of a chunk of matrices; a larger matrix has a chunk of its own.
constexpr std::uint64_t kChunkBytes = std::uint64_t{1} << 30;
/// Also what some devices want of the beginning of a buffer.
constexpr std::uint64_t kMatrixAlignment = 128;
constexpr std::size_t kNoChunk = ~std::size_t{0};

}  // namespace

TensorPlaces::TensorPlaces(const PlannedFile& file, const std::string& path,
                           const std::vector<std::shared_ptr<Device>>& devices)
    : file_(file), path_(path), devices_(devices), used_(file.tensors.size()) {
  for (std::size_t i = 0; i < file.tensors.size(); ++i) index_.emplace(file.tensors[i].name, i);
}

Error TensorPlaces::missing(const std::string& name) const {
  return {.code = ErrorCode::MissingTensor, .path = path_, .subject = name};
}

Result<std::size_t> TensorPlaces::index_of(const std::string& name) const {
  const auto found = index_.find(name);
  if (found == index_.end()) return fail(missing(name));
  return found->second;
}

Result<std::uint64_t> TensorPlaces::rows_of(const std::string& name) const {
  GGUF_FUSE_ASSIGN(const std::size_t tensor, index_of(name));
  return row_count(file_.tensors[tensor].dims).value_or(0);
}

void TensorPlaces::leave_out(const std::string& prefix) {
  for (std::size_t i = 0; i < used_.size(); ++i) used_[i] = used_[i] || file_.tensors[i].name.starts_with(prefix);
}

Result<std::size_t> TensorPlaces::take(const std::string& name, std::uint64_t rows, std::uint64_t columns) {
  GGUF_FUSE_ASSIGN(const std::size_t tensor, index_of(name));
  const PlannedTensor& found = file_.tensors[tensor];
  const auto stored = row_count(found.dims).value_or(0);
  if (found.dims[0] != columns || stored != rows) {
    return fail({.code = ErrorCode::BadTensorShape,
                 .path = path_,
                 .subject = found.name,
                 .expected = fmt::format("{} x {}", columns, rows),
                 .actual = fmt::format("{} x {}", found.dims[0], stored)});
  }
  used_[tensor] = true;
  return tensor;
}

Result<PackedShape> TensorPlaces::packed(std::size_t tensor, std::uint64_t rows) const {
  const PlannedTensor& found = file_.tensors[tensor];
  if (can_compute(*found.type)) {
    return PackedShape{.type = found.type,
                       .rows = static_cast<std::uint32_t>(rows),
                       .columns = static_cast<std::uint32_t>(found.dims[0])};
  }
  return fail({.code = ErrorCode::UnsupportedType,
               .path = path_,
               .subject = found.name,
               .actual = std::string(found.type->name)});
}

std::size_t TensorPlaces::chunk_for(std::uint64_t bytes) {
  const std::uint64_t most = std::min(kChunkBytes, device_->info().max_buffer_bytes);
  for (std::size_t i = chunks_.size(); i-- > 0;) {
    if (chunks_[i].device != device_) continue;
    if (chunks_[i].bytes + bytes <= most) return i;
    break;
  }
  chunks_.push_back({.device = device_});
  return chunks_.size() - 1;
}

std::uint64_t TensorPlaces::reserve(std::size_t chunk, std::uint64_t bytes) {
  const std::uint64_t offset = chunks_[chunk].bytes;
  chunks_[chunk].bytes += align_up(bytes, kMatrixAlignment);
  return offset;
}

void TensorPlaces::add_placement(std::size_t tensor, std::uint64_t first_row, const PackedShape& shape,
                                 std::uint64_t offset, std::size_t chunk) {
  map_->placements.push_back({.tensor = tensor,
                              .first_row = first_row,
                              .rows = shape.rows,
                              .matrix = {.buffer = {}, .offset = offset, .shape = shape},
                              .floats = {}});
  placement_chunks_.push_back(chunk);
}

Result<void> TensorPlaces::place(std::size_t tensor, std::uint64_t first_row, std::uint64_t rows, Matrix& out) {
  GGUF_FUSE_ASSIGN(out.shape, packed(tensor, rows));
  const std::size_t chunk = chunk_for(out.shape.bytes());
  out.offset = reserve(chunk, out.shape.bytes());
  owners_.push_back({.buffer = &out.buffer, .chunk = chunk});
  add_placement(tensor, first_row, out.shape, out.offset, chunk);
  return {};
}

Result<void> TensorPlaces::matrix(const std::string& name, std::uint64_t rows, std::uint64_t columns, Matrix& out) {
  GGUF_FUSE_ASSIGN(const std::size_t tensor, take(name, rows, columns));
  return place(tensor, 0, rows, out);
}

Result<void> TensorPlaces::parts(const std::vector<Part>& wanted, const std::string& fused, std::uint64_t columns) {
  const std::string whole = fused + ".weight";
  std::uint64_t total = 0;
  for (const Part& part : wanted) total += part.rows;
  // Where the fused tensor has the name of a part, only its rows tell them apart.
  const bool there = has(whole) && !has(wanted.front().name + ".weight");
  if (!there || (fused == wanted.back().name && rows_of(whole) == wanted.back().rows)) {
    for (const Part& part : wanted) GGUF_FUSE_CHECK(matrix(part.name + ".weight", part.rows, columns, *part.out));
    return {};
  }
  GGUF_FUSE_ASSIGN(const std::size_t tensor, take(whole, total, columns));
  std::uint64_t first = 0;
  for (const Part& part : wanted) {
    GGUF_FUSE_CHECK(place(tensor, first, part.rows, *part.out));
    first += part.rows;
  }
  return {};
}

std::uint32_t TensorPlaces::most_experts(std::uint32_t experts, std::uint64_t stride) const {
  const std::uint64_t fitting = device_->info().max_buffer_bytes / std::max(stride, std::uint64_t{1});
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(fitting, 1, experts));
}

Result<std::uint64_t> TensorPlaces::expert_bytes(std::size_t tensor, std::uint64_t rows) const {
  GGUF_FUSE_ASSIGN(const PackedShape shape, packed(tensor, rows));
  return align_up(shape.bytes(), kMatrixAlignment);
}

Result<void> TensorPlaces::place_experts(const std::vector<ExpertSource>& sources, const ExpertSizes& sizes,
                                         std::uint32_t most) {
  std::uint64_t stride = 0;
  std::vector<std::uint64_t> offsets;
  for (const ExpertSource& source : sources) {
    GGUF_FUSE_ASSIGN(source.out->shape, packed(source.tensor, sizes.rows));
    offsets.push_back(stride);
    stride += align_up(source.out->shape.bytes(), kMatrixAlignment);
    source.out->parts.reserve((sizes.experts + most - 1) / most);  // owners point into them
  }
  for (std::uint32_t first = 0; first < sizes.experts; first += most) {
    const std::uint32_t count = std::min(most, sizes.experts - first);
    const std::size_t chunk = chunk_for(count * stride);
    const std::uint64_t offset = reserve(chunk, count * stride);
    for (std::size_t i = 0; i < sources.size(); ++i) {
      const ExpertSource& source = sources[i];
      auto& parts = source.out->parts;
      parts.push_back({.buffer = {}, .offset = offset + offsets[i], .stride = stride, .first = first, .count = count});
      owners_.push_back({.buffer = &parts.back().buffer, .chunk = chunk});
      for (std::uint32_t e = 0; e < count; ++e) {
        add_placement(source.tensor, source.first_row + (first + e) * source.row_stride, source.out->shape,
                      offset + offsets[i] + e * stride, chunk);
      }
    }
  }
  return {};
}

Result<void> TensorPlaces::experts(const std::string& name, const ExpertSizes& sizes, ExpertMatrix& out) {
  GGUF_FUSE_ASSIGN(const std::size_t tensor, take(name + ".weight", sizes.experts * sizes.rows, sizes.columns));
  GGUF_FUSE_ASSIGN(const std::uint64_t bytes, expert_bytes(tensor, sizes.rows));
  return place_experts({{.tensor = tensor, .first_row = 0, .row_stride = sizes.rows, .out = &out}}, sizes,
                       most_experts(sizes.experts, bytes));
}

Result<void> TensorPlaces::gate_and_up(const std::string& prefix, const ExpertSizes& sizes, ExpertMatrix& gate,
                                       ExpertMatrix& up) {
  const std::uint64_t rows = sizes.experts * sizes.rows;
  if (const std::string fused = prefix + "ffn_gate_up_exps.weight"; has(fused)) {
    GGUF_FUSE_ASSIGN(const std::size_t tensor, take(fused, 2 * rows, sizes.columns));
    GGUF_FUSE_ASSIGN(const std::uint64_t bytes, expert_bytes(tensor, sizes.rows));
    return place_experts({{.tensor = tensor, .first_row = 0, .row_stride = 2 * sizes.rows, .out = &gate},
                          {.tensor = tensor, .first_row = sizes.rows, .row_stride = 2 * sizes.rows, .out = &up}},
                         sizes, most_experts(sizes.experts, 2 * bytes));
  }
  GGUF_FUSE_ASSIGN(const std::size_t gate_tensor, take(prefix + "ffn_gate_exps.weight", rows, sizes.columns));
  GGUF_FUSE_ASSIGN(const std::size_t up_tensor, take(prefix + "ffn_up_exps.weight", rows, sizes.columns));
  GGUF_FUSE_ASSIGN(const std::uint64_t gate_bytes, expert_bytes(gate_tensor, sizes.rows));
  GGUF_FUSE_ASSIGN(const std::uint64_t up_bytes, expert_bytes(up_tensor, sizes.rows));
  const std::uint32_t most = most_experts(sizes.experts, std::max(gate_bytes, up_bytes));
  GGUF_FUSE_CHECK(
      place_experts({{.tensor = gate_tensor, .first_row = 0, .row_stride = sizes.rows, .out = &gate}}, sizes, most));
  return place_experts({{.tensor = up_tensor, .first_row = 0, .row_stride = sizes.rows, .out = &up}}, sizes, most);
}

Result<void> TensorPlaces::gate_and_up_biases(const std::string& prefix, const ExpertSizes& sizes, Buffer& gate,
                                              Buffer& up) {
  const std::uint64_t all = sizes.experts * sizes.rows;
  const std::string fused = prefix + "ffn_gate_up_exps.bias";
  if (!has(fused)) {
    GGUF_FUSE_CHECK(floats(prefix + "ffn_gate_exps.bias", all, gate, sizes.experts));
    return floats(prefix + "ffn_up_exps.bias", all, up, sizes.experts);
  }
  GGUF_FUSE_ASSIGN(const std::size_t tensor, take_floats(fused, 2 * all, sizes.experts));
  for (Buffer* out : {&gate, &up}) {
    GGUF_FUSE_ASSIGN(*out, device_->allocate(all * sizeof(float), Access::ReadOnly));
  }
  for (std::uint64_t e = 0; e < sizes.experts; ++e) {
    place_floats(tensor, 2 * e * sizes.rows, sizes.rows, e * sizes.rows, gate);
    place_floats(tensor, (2 * e + 1) * sizes.rows, sizes.rows, e * sizes.rows, up);
  }
  return {};
}

Result<std::size_t> TensorPlaces::take_floats(const std::string& name, std::uint64_t count, std::uint64_t rows) {
  GGUF_FUSE_ASSIGN(const std::size_t tensor, take(name, rows, count / rows));
  const PlannedTensor& found = file_.tensors[tensor];
  if (found.type->name == "F32") return tensor;
  return fail({.code = ErrorCode::UnsupportedType,
               .path = path_,
               .subject = found.name,
               .expected = "F32",
               .actual = std::string(found.type->name)});
}

void TensorPlaces::place_floats(std::size_t tensor, std::uint64_t first, std::uint64_t count, std::uint64_t offset,
                                const Buffer& out) {
  map_->placements.push_back({.tensor = tensor,
                              .first_row = first,
                              .rows = count,
                              .matrix = {},
                              .floats = out,
                              .float_offset = offset * sizeof(float)});
  placement_chunks_.push_back(kNoChunk);
}

Result<void> TensorPlaces::floats_at(const std::string& name, std::uint64_t count, std::uint64_t offset,
                                     std::uint64_t size, Buffer& out) {
  GGUF_FUSE_ASSIGN(const std::size_t tensor, take_floats(name, count, 1));
  if (!out) {
    GGUF_FUSE_ASSIGN(out, device_->allocate(size * sizeof(float), Access::ReadOnly));
    GGUF_FUSE_CHECK(out.fill(std::byte{0}));
  }
  place_floats(tensor, 0, count, offset, out);
  return {};
}

Result<void> TensorPlaces::floats(const std::string& name, std::uint64_t count, Buffer& out, std::uint64_t rows) {
  GGUF_FUSE_ASSIGN(const std::size_t tensor, take_floats(name, count, rows));
  GGUF_FUSE_ASSIGN(out, device_->allocate(count * sizeof(float), Access::ReadOnly));
  place_floats(tensor, 0, count, 0, out);
  return {};
}

Result<void> TensorPlaces::host_floats(const std::string& name, std::uint64_t count, std::vector<float>& out) {
  GGUF_FUSE_ASSIGN(const std::size_t tensor, take_floats(name, count, 1));
  out.resize(count);
  map_->placements.push_back(
      {.tensor = tensor, .first_row = 0, .rows = count, .matrix = {}, .floats = {}, .host = &out});
  placement_chunks_.push_back(kNoChunk);
  return {};
}

bool TensorPlaces::is_scale(std::size_t tensor) const {
  constexpr std::string_view kScale = ".scale";
  const std::string& name = file_.tensors[tensor].name;
  return name.ends_with(kScale) && has(name.substr(0, name.size() - kScale.size()) + ".weight");
}

Result<void> TensorPlaces::place_unit_scale(std::size_t tensor) {
  const PlannedTensor& found = file_.tensors[tensor];
  auto& scale =
      *map_->unit_scales.emplace_back(std::make_unique<UnitScale>(UnitScale{.tensor = found.name, .values = {}}));
  const std::uint64_t most = row_count(found.dims).value_or(0) * found.dims[0];
  return host_floats(found.name, most, scale.values);
}

Result<void> TensorPlaces::allocate_chunks() {
  std::vector<Buffer> buffers;
  for (std::size_t i = 0; i < chunks_.size(); ++i) {
    auto buffer = chunks_[i].device->allocate(chunks_[i].bytes, Access::ReadOnly);
    if (!buffer) {
      Error error = buffer.error();
      const auto first = std::find(placement_chunks_.begin(), placement_chunks_.end(), i) - placement_chunks_.begin();
      error.subject = file_.tensors[map_->placements[static_cast<std::size_t>(first)].tensor].name;
      return fail(std::move(error));
    }
    buffers.push_back(std::move(*buffer));
  }
  for (const Owner& owner : owners_) *owner.buffer = buffers[owner.chunk];
  for (std::size_t i = 0; i < placement_chunks_.size(); ++i) {
    if (placement_chunks_[i] != kNoChunk) map_->placements[i].matrix.buffer = buffers[placement_chunks_[i]];
  }
  return {};
}

Result<std::unique_ptr<WeightMap>> TensorPlaces::finish(std::string_view architecture) {
  GGUF_FUSE_CHECK(allocate_chunks());
  for (std::size_t i = 0; i < used_.size(); ++i) {
    if (used_[i]) continue;
    if (is_scale(i)) {
      GGUF_FUSE_CHECK(place_unit_scale(i));
      continue;
    }
    if (find_unneeded(file_.tensors[i].name) != nullptr) {
      map_->left_out.push_back(file_.tensors[i].name);
      continue;
    }
    return fail({.code = ErrorCode::UnsupportedArchitecture,
                 .path = path_,
                 .subject = file_.tensors[i].name,
                 .expected = fmt::format("only tensors that {} computes with", architecture),
                 .actual = "one more"});
  }
  std::sort(map_->placements.begin(), map_->placements.end(), [](const Placement& a, const Placement& b) {
    return std::pair(a.tensor, a.first_row) < std::pair(b.tensor, b.first_row);
  });
  return std::move(map_);
}

}  // namespace gguf_fuse::runtime::detail
