// SPDX-License-Identifier: MIT
#include "model/tensor_places.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "model/unneeded.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

/// Of a chunk of matrices; a larger matrix has a chunk of its own.
constexpr std::uint64_t kChunkBytes = std::uint64_t{1} << 30;
/// Also what some devices want of the beginning of a buffer.
constexpr std::uint64_t kMatrixAlignment = 128;
constexpr std::size_t kNoChunk = ~std::size_t{0};

}  // namespace

TensorPlaces::TensorPlaces(const PlannedFile& file, std::span<const TensorView> views, const std::string& path)
    : file_(file), path_(path), views_(views), used_(views.size()) {
  for (std::size_t i = 0; i < views_.size(); ++i) {
    const TensorView& view = views_[i];
    index_.emplace(view.name, i);
    if (view.joined != nullptr && view.joined->stored) stored_fused_.emplace(file.tensors[view.tensor].name, i);
  }
}

void TensorPlaces::use_group(TensorRole role, std::size_t layer) {
  const std::size_t indices[] = {GroupIndex::kInput, GroupIndex::kFirstLayer, GroupIndex::mixer(layer),
                                 GroupIndex::feed_forward(layer), GroupIndex::output(layer)};
  group_ = indices[static_cast<std::size_t>(role)];
  if (groups_.size() <= group_) groups_.resize(group_ + 1);
  groups_[group_].role = role;
  groups_[group_].layer = static_cast<std::uint32_t>(layer);
}

void TensorPlaces::request(std::uint64_t bytes, std::function<Result<void>()> place) {
  groups_[group_].bytes += bytes;
  requests_.push_back({.group = group_, .place = std::move(place)});
}

void TensorPlaces::add_names(const TensorView& view) {
  std::vector<std::string>& names = groups_[group_].tensors;
  for (const std::string_view name : {view.name, std::string_view(file_.tensors[view.tensor].name)}) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.emplace_back(name);
  }
}

Error TensorPlaces::missing(const std::string& name) const {
  return {.code = ErrorCode::MissingTensor, .path = path_, .subject = name};
}

TensorPlaces::ViewResult TensorPlaces::view_of(const std::string& name) const {
  const auto found = index_.find(name);
  if (found == index_.end()) return fail(missing(name));
  return &views_[found->second];
}

Result<std::uint64_t> TensorPlaces::rows_of(const std::string& name) const {
  GGUF_FUSE_ASSIGN(const TensorView* const view, view_of(name));
  return row_count(view->dims).value_or(0);
}

void TensorPlaces::leave_out(const std::string& prefix) {
  for (std::size_t i = 0; i < used_.size(); ++i) used_[i] = used_[i] || views_[i].name.starts_with(prefix);
}

Error TensorPlaces::unknown_rows(const TensorView& view) const {
  std::string names;
  for (const Joined::Part& part : view.joined->parts) names += (names.empty() ? "" : ", ") + part.name;
  return {.code = ErrorCode::BadTensorShape,
          .path = path_,
          .subject = file_.tensors[view.tensor].name,
          .expected = "the rows of " + names,
          .actual = view.joined->unknown->text()};
}

TensorPlaces::ViewResult TensorPlaces::take(const std::string& name, std::uint64_t rows, std::uint64_t columns) {
  GGUF_FUSE_ASSIGN(const TensorView* const view, view_of(name));
  if (view->joined != nullptr && view->joined->unknown) return fail(unknown_rows(*view));
  const auto stored = row_count(view->dims).value_or(0);
  if (view->dims[0] != columns || stored != rows) {
    return fail({.code = ErrorCode::BadTensorShape,
                 .path = path_,
                 .subject = name,
                 .expected = fmt::format("{} x {}", columns, rows),
                 .actual = fmt::format("{} x {}", view->dims[0], stored)});
  }
  used_[static_cast<std::size_t>(view - views_.data())] = true;
  return view;
}

Result<PackedShape> TensorPlaces::packed(const TensorView& view, std::uint64_t rows) const {
  if (can_compute(*view.type)) {
    return PackedShape{.type = view.type,
                       .rows = static_cast<std::uint32_t>(rows),
                       .columns = static_cast<std::uint32_t>(view.dims[0])};
  }
  return fail({.code = ErrorCode::UnsupportedType,
               .path = path_,
               .subject = std::string(view.name),
               .actual = std::string(view.type->name)});
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

void TensorPlaces::add_placement(const TensorView& view, std::uint64_t matrix, const PackedShape& shape,
                                 std::uint64_t offset, std::size_t chunk) {
  map_->placements.push_back({.tensor = view.tensor,
                              .first_row = view.first_row + matrix * view.stride,
                              .rows = shape.rows,
                              .matrix = {.buffer = {}, .offset = offset, .shape = shape},
                              .floats = {}});
  placement_chunks_.push_back(chunk);
}

Result<void> TensorPlaces::request_matrix(const TensorView& view, std::uint64_t rows, Matrix& out) {
  GGUF_FUSE_ASSIGN(out.shape, packed(view, rows));
  request(out.shape.bytes(), [this, &view, &out]() -> Result<void> {
    const std::size_t chunk = chunk_for(out.shape.bytes());
    out.offset = reserve(chunk, out.shape.bytes());
    owners_.push_back({.buffer = &out.buffer, .chunk = chunk});
    add_placement(view, 0, out.shape, out.offset, chunk);
    return {};
  });
  return {};
}

Result<const TensorView*> TensorPlaces::take_matrix(const std::string& name, std::uint64_t rows,
                                                    std::uint64_t columns) {
  GGUF_FUSE_ASSIGN(const TensorView* const view, take(name, rows, columns));
  if (!view->contiguous()) {
    return fail({.code = ErrorCode::BadTensorShape,
                 .path = path_,
                 .subject = name,
                 .expected = "one matrix",
                 .actual = fmt::format("{}", view->matrices)});
  }
  add_names(*view);
  return view;
}

Result<void> TensorPlaces::matrix(const std::string& name, std::uint64_t rows, std::uint64_t columns, Matrix& out) {
  GGUF_FUSE_ASSIGN(const TensorView* const view, take_matrix(name, rows, columns));
  return request_matrix(*view, rows, out);
}

Result<void> TensorPlaces::matrices(const std::vector<Part>& wanted, std::uint64_t columns, std::vector<Matrix>& out) {
  std::vector<const TensorView*> views;
  std::uint64_t rows = 0;
  bool one = true;
  for (const Part& part : wanted) {
    GGUF_FUSE_ASSIGN(const TensorView* const view, take_matrix(part.name + ".weight", part.rows, columns));
    one = one && part.rows % kTileRows == 0 && (views.empty() || view->continues(*views.back()));
    views.push_back(view);
    rows += part.rows;
  }
  out.resize(one ? 1 : views.size());
  if (one) return request_matrix(*views.front(), rows, out.front());
  for (std::size_t i = 0; i < views.size(); ++i) GGUF_FUSE_CHECK(request_matrix(*views[i], wanted[i].rows, out[i]));
  return {};
}

std::uint32_t TensorPlaces::most_experts(std::uint32_t experts, std::uint64_t stride) const {
  const std::uint64_t fitting = device_->info().max_buffer_bytes / std::max(stride, std::uint64_t{1});
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(fitting, 1, experts));
}

void TensorPlaces::request_experts(std::vector<ExpertSource> sources, std::uint32_t experts, std::uint64_t widest) {
  std::uint64_t bytes = 0;
  for (const ExpertSource& source : sources) bytes += align_up(source.out->shape.bytes(), kMatrixAlignment);
  request(bytes * experts, [this, sources = std::move(sources), experts, widest]() -> Result<void> {
    place_experts(sources, experts, most_experts(experts, widest));
    return {};
  });
}

void TensorPlaces::place_experts(std::span<const ExpertSource> sources, std::uint32_t experts, std::uint32_t most) {
  std::uint64_t stride = 0;
  std::vector<std::uint64_t> offsets;
  for (const ExpertSource& source : sources) {
    offsets.push_back(stride);
    stride += align_up(source.out->shape.bytes(), kMatrixAlignment);
    source.out->parts.reserve((experts + most - 1) / most);  // owners point into them
  }
  for (std::uint32_t first = 0; first < experts; first += most) {
    const std::uint32_t count = std::min(most, experts - first);
    const std::size_t chunk = chunk_for(count * stride);
    const std::uint64_t offset = reserve(chunk, count * stride);
    for (std::size_t i = 0; i < sources.size(); ++i) {
      const ExpertSource& source = sources[i];
      auto& parts = source.out->parts;
      parts.push_back({.buffer = {}, .offset = offset + offsets[i], .stride = stride, .first = first, .count = count});
      owners_.push_back({.buffer = &parts.back().buffer, .chunk = chunk});
      for (std::uint32_t e = 0; e < count; ++e)
        add_placement(*source.view, first + e, source.out->shape, offset + offsets[i] + e * stride, chunk);
    }
  }
}

Result<void> TensorPlaces::experts(const std::vector<ExpertPart>& wanted, const ExpertSizes& sizes) {
  std::vector<ExpertSource> sources;
  std::uint64_t largest = 0, all = 0;
  bool one = true;
  for (const ExpertPart& part : wanted) {
    GGUF_FUSE_ASSIGN(const TensorView* view, take(part.name + ".weight", sizes.experts * sizes.rows, sizes.columns));
    GGUF_FUSE_ASSIGN(part.out->shape, packed(*view, sizes.rows));
    const std::uint64_t bytes = align_up(part.out->shape.bytes(), kMatrixAlignment);
    add_names(*view);
    one = one && (sources.empty() || view->continues(*sources.back().view));
    sources.push_back({.view = view, .out = part.out});
    largest = std::max(largest, bytes);
    all += bytes;
  }
  if (one) {
    request_experts(std::move(sources), sizes.experts, all);
  } else {
    for (const ExpertSource& source : sources) request_experts({source}, sizes.experts, largest);
  }
  return {};
}

TensorPlaces::ViewResult TensorPlaces::take_floats(const std::string& name, std::uint64_t count, std::uint64_t rows) {
  GGUF_FUSE_ASSIGN(const TensorView* const view, take(name, rows, count / rows));
  if (view->type->name == "F32") return view;
  return fail({.code = ErrorCode::UnsupportedType,
               .path = path_,
               .subject = name,
               .expected = "F32",
               .actual = std::string(view->type->name)});
}

void TensorPlaces::place_floats(const TensorView& view, std::uint64_t offset, const Buffer& out) {
  const std::uint64_t pieces = view.contiguous() ? 1 : view.matrices;
  const std::uint64_t count = view.rows * view.row_elements * (view.matrices / pieces);
  for (std::uint64_t i = 0; i < pieces; ++i) {
    map_->placements.push_back({.tensor = view.tensor,
                                .first_row = (view.first_row + i * view.stride) * view.row_elements,
                                .rows = count,
                                .matrix = {},
                                .floats = out,
                                .float_offset = (offset + i * count) * sizeof(float)});
    placement_chunks_.push_back(kNoChunk);
  }
}

Result<void> TensorPlaces::floats_at(const std::string& name, std::uint64_t count, std::uint64_t offset,
                                     std::uint64_t size, Buffer& out) {
  GGUF_FUSE_ASSIGN(const TensorView* const view, take_floats(name, count, 1));
  request(count * sizeof(float), [this, view, offset, size, &out]() -> Result<void> {
    if (!out) {
      GGUF_FUSE_ASSIGN(out, device_->allocate(size * sizeof(float), Access::ReadOnly));
      GGUF_FUSE_CHECK(out.fill(std::byte{0}));
    }
    place_floats(*view, offset, out);
    return {};
  });
  return {};
}

Result<void> TensorPlaces::floats(const std::string& name, std::uint64_t count, Buffer& out, std::uint64_t rows) {
  GGUF_FUSE_ASSIGN(const TensorView* const view, take_floats(name, count, rows));
  request(count * sizeof(float), [this, view, count, &out]() -> Result<void> {
    GGUF_FUSE_ASSIGN(out, device_->allocate(count * sizeof(float), Access::ReadOnly));
    place_floats(*view, 0, out);
    return {};
  });
  return {};
}

Result<void> TensorPlaces::host_floats(const std::string& name, std::uint64_t count, std::vector<float>& out) {
  GGUF_FUSE_ASSIGN(const TensorView* const view, take_floats(name, count, 1));
  out.resize(count);
  map_->placements.push_back(
      {.tensor = view->tensor, .first_row = view->first_row, .rows = count, .matrix = {}, .floats = {}, .host = &out});
  placement_chunks_.push_back(kNoChunk);
  return {};
}

std::optional<TensorView> TensorPlaces::scaled_by(std::string_view name) const {
  constexpr std::string_view kScale = ".scale", kWeight = ".weight";
  if (!name.ends_with(kScale)) return std::nullopt;
  const std::string weight = fmt::format("{}{}", name.substr(0, name.size() - kScale.size()), kWeight);
  if (const auto fused = stored_fused_.find(weight); fused != stored_fused_.end()) {
    TensorView whole = views_[fused->second];
    // Where a part of another name has a scale, this one is that of the part which the whole is named after.
    const auto& parts = whole.joined->parts;
    const bool of_part = std::any_of(parts.begin(), parts.end(), [&](const Joined::Part& part) {
      const std::string_view base = std::string_view(part.name).substr(0, part.name.size() - kWeight.size());
      return part.name != weight && has(fmt::format("{}{}", base, kScale));
    });
    whole.rows = whole.stride;
    if (!of_part) return whole;
  }
  const auto found = index_.find(weight);
  return found == index_.end() ? std::nullopt : std::optional(views_[found->second]);
}

Result<void> TensorPlaces::place_scale(const TensorView& view, const TensorView& of) {
  const std::uint64_t count = row_count(view.dims).value_or(0) * view.dims[0];
  if (count != 1 && count != of.matrices) {
    return fail({.code = ErrorCode::BadTensorShape,
                 .path = path_,
                 .subject = std::string(view.name),
                 .expected = of.matrices == 1 ? "1 element" : fmt::format("1 or {} elements", of.matrices),
                 .actual = std::to_string(count)});
  }
  auto& scale = *map_->scales.emplace_back(
      std::make_unique<MatrixScale>(MatrixScale{.tensor = std::string(view.name), .of = of, .values = {}}));
  return host_floats(scale.tensor, count, scale.values);
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

std::vector<TensorGroup> TensorPlaces::take_groups(std::size_t layers) {
  groups_.resize(GroupIndex::output(layers) + 1);
  groups_[GroupIndex::kFirstLayer].role = TensorRole::FirstLayer;
  return std::move(groups_);
}

Result<std::unique_ptr<WeightMap>> TensorPlaces::finish(const std::vector<std::shared_ptr<Device>>& devices,
                                                        const PlacementPlan& plan, std::string_view architecture) {
  for (const Request& request : requests_) {
    device_ = devices[plan.places[request.group].device].get();
    GGUF_FUSE_CHECK(request.place());
  }
  GGUF_FUSE_CHECK(allocate_chunks());
  for (std::size_t i = 0; i < used_.size(); ++i) {
    if (used_[i]) continue;
    std::string name(views_[i].name);
    if (const auto of = scaled_by(name)) {
      GGUF_FUSE_CHECK(place_scale(views_[i], *of));
    } else if (find_unneeded(name) != nullptr) {
      map_->left_out.push_back(std::move(name));
    } else {
      return fail({.code = ErrorCode::UnsupportedArchitecture,
                   .path = path_,
                   .subject = std::move(name),
                   .expected = fmt::format("only tensors that {} computes with", architecture),
                   .actual = "one more"});
    }
  }
  std::sort(map_->placements.begin(), map_->placements.end(), [](const Placement& a, const Placement& b) {
    return std::pair(a.tensor, a.first_row) < std::pair(b.tensor, b.first_row);
  });
  return std::move(map_);
}

}  // namespace gguf_fuse::runtime::detail
