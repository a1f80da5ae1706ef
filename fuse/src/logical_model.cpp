// SPDX-License-Identifier: MIT
#include "logical_model.hpp"

#include <algorithm>
#include <numeric>

namespace gguf_fuse::fuse::detail {
namespace {

// How a tensor falls into matrices whose rows are concatenated: biases are matrices of one-element rows.
struct Matrices {
  std::uint64_t count = 1;
  std::uint64_t rows = 1;
  std::uint64_t row_bytes = 0;
};

Matrices matrices_of(const TensorType& type, const Dimensions& dims, bool along_elements) {
  if (along_elements)
    return {.count = dims[1] * dims[2] * dims[3], .rows = dims[0], .row_bytes = row_bytes(type, 1).value_or(0)};
  return {.count = dims[2] * dims[3], .rows = dims[1], .row_bytes = row_bytes(type, dims[0]).value_or(0)};
}

// What the record says of `part`: its own parts where it is fused, those of one matrix of it where `matrix` says which.
void add_parts(const LogicalTensor& part, const Join& how, bool stacked, std::optional<std::uint64_t> matrix,
               std::vector<FusedPart>& all) {
  const Matrices matrices = matrices_of(*part.type, part.dims, how.along_elements);
  if (part.parts.empty()) {
    const std::uint64_t rows = stacked ? matrices.count * matrices.rows : matrices.rows;
    all.push_back({.name = part.name, .index = part.index, .rows = rows});
    return;
  }
  const std::size_t count = matrix ? part.parts.size() / matrices.count : part.parts.size();
  const auto first = part.parts.begin() + static_cast<std::ptrdiff_t>(matrix.value_or(0) * count);
  all.insert(all.end(), first, first + static_cast<std::ptrdiff_t>(count));
}

// In the order of their bytes: rows that are joined within each matrix take turns in a stack.
std::vector<FusedPart> parts_of(std::span<const LogicalTensor* const> parts, const Join& how, bool stacked) {
  std::vector<FusedPart> all;
  const bool in_turns = stacked && how.axis == Axis::Rows;
  const std::uint64_t turns =
      in_turns ? matrices_of(*parts.front()->type, parts.front()->dims, how.along_elements).count : 1;
  for (std::uint64_t matrix = 0; matrix < turns; ++matrix) {
    for (const LogicalTensor* part : parts)
      add_parts(*part, how, stacked, in_turns ? std::optional(matrix) : std::nullopt, all);
  }
  return all;
}

std::uint64_t tail_of(const Container& container) {
  const std::uint64_t end = container.data_offset + container.data_bytes;
  // The length of a stream is known at its end; until then it is taken to end as engines write it.
  const std::uint64_t usual = container.data_offset + align_up(container.data_bytes, container.alignment);
  return container.file_bytes.value_or(usual) - std::min(end, container.file_bytes.value_or(usual));
}

LogicalShard stored_shard(const Container& container) {
  LogicalShard shard;
  shard.tensor_count = static_cast<std::uint32_t>(container.tensors.size());
  shard.alignment = container.alignment;
  shard.tail_bytes = tail_of(container);
  shard.file_bytes = container.file_bytes;
  shard.section = container.metadata.section();
  // As it lies in the file: padded, but not beyond the end of a file that ends with its header.
  const std::uint64_t end = std::min(container.data_offset, container.file_bytes.value_or(container.data_offset));
  const std::uint64_t written = container.header->size();
  shard.header_hash =
      hash_header(*container.header, std::max(end, written) - written, container.file_bytes.value_or(0));
  for (std::size_t i = 0; i < container.metadata.size(); ++i) {
    const Metadata::Entry entry = container.metadata[i];
    shard.keys.push_back({.key = entry.key, .type = entry.value.type(), .value = entry.value.bytes()});
  }
  return shard;
}

}  // namespace

std::optional<Value> LogicalModel::find_key(std::string_view key) const {
  const auto found = std::find_if(keys().begin(), keys().end(), [key](const KeyItem& item) { return item.key == key; });
  return found != keys().end() ? std::optional(Value(found->type, found->value, big_endian)) : std::nullopt;
}

std::uint64_t slice_bytes(const LogicalTensor& tensor) {
  const bool along_elements = tensor.name.ends_with(".bias");
  const Dimensions& dims = tensor.dims;
  const Matrices matrices = matrices_of(*tensor.type, dims, along_elements);
  const std::uint64_t bytes = matrices.rows * matrices.row_bytes;
  const bool whole =
      bytes == 0 || !can_cut(tensor, {.rows = {dims[along_elements ? 0 : 1]}, .along_elements = along_elements});
  return whole ? tensor.bytes : bytes;
}

std::uint64_t matrix_count(const LogicalTensor& tensor) {
  return matrices_of(*tensor.type, tensor.dims, tensor.name.ends_with(".bias")).count;
}

TensorIndex index_by_name(const std::vector<LogicalTensor>& tensors) {
  TensorIndex index;
  index.reserve(tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) index.emplace(tensors[i].name, i);
  return index;
}

LogicalModel stored_model(const ModelInfo& model) {
  LogicalModel logical;
  logical.version = model.shards.front().version;
  logical.big_endian = model.shards.front().big_endian;
  logical.path = model.shards.front().path;
  for (std::size_t s = 0; s < model.shards.size(); ++s) {
    const Container& container = model.shards[s];
    logical.shards.push_back(stored_shard(container));
    for (const TensorInfo& tensor : container.tensors) {
      LogicalTensor item;
      item.name = tensor.name;
      item.type = tensor.type;
      item.dimension_count = tensor.dimension_count;
      item.dims = tensor.dims;
      item.bytes = tensor.bytes;
      item.index = static_cast<std::uint32_t>(logical.tensors.size());
      item.map.add({static_cast<std::uint32_t>(s), container.data_offset + tensor.offset, 0, tensor.bytes});
      logical.tensors.push_back(std::move(item));
    }
  }
  return logical;
}

bool can_cut(const LogicalTensor& tensor, const Cut& cut) {
  const std::uint64_t elements_per_block = cut.along_elements ? tensor.type->block_elements : 1;
  const std::uint64_t group = cut.along_elements ? 1 : tensor.type->rows_per_group;
  const bool whole_groups =
      std::all_of(cut.rows.begin(), cut.rows.end(), [group](std::uint64_t rows) { return rows % group == 0; });
  const Dimensions& dims = tensor.dims;
  const bool few = dims[2] <= kMostMatrices && dims[3] <= kMostMatrices / std::max<std::uint64_t>(dims[2], 1) &&
                   (!cut.along_elements || dims[1] <= kMostMatrices / std::max<std::uint64_t>(dims[2] * dims[3], 1));
  // A tensor without that dimension could not say how many rows its parts have.
  const bool has_axis = tensor.dimension_count > (cut.along_elements ? 0U : 1U);
  return has_axis && whole_groups && elements_per_block == 1 && tensor.type->rows_are_self_contained() && few;
}

std::uint64_t rows_to_cut(const LogicalTensor& tensor, const Cut& cut) {
  const Matrices whole = matrices_of(*tensor.type, tensor.dims, cut.along_elements);
  return cut.stack ? whole.count * whole.rows : whole.rows;
}

std::vector<LogicalTensor> cut_apart(const LogicalTensor& tensor, const Cut& cut, std::span<const std::string> names) {
  const Matrices whole = matrices_of(*tensor.type, tensor.dims, cut.along_elements);
  const std::size_t axis = cut.along_elements ? 0 : 1;
  std::vector<LogicalTensor> parts;
  std::uint64_t begin = 0;
  for (std::size_t i = 0; i < cut.rows.size(); ++i) {
    const std::uint64_t bytes = cut.rows[i] * whole.row_bytes;
    LogicalTensor part;
    part.name = names[i];
    part.type = tensor.type;
    part.dimension_count = tensor.dimension_count;
    part.dims = tensor.dims;
    if (cut.stack) {
      part.dimension_count = static_cast<std::uint32_t>(axis) + 1;
      std::fill(part.dims.begin() + static_cast<std::ptrdiff_t>(axis), part.dims.end(), 1);
    }
    part.dims[axis] = cut.rows[i];
    const std::uint64_t count = cut.stack ? 1 : whole.count;
    part.bytes = bytes * count;
    part.index = tensor.index;
    const Run matrices{.source_offset = begin,
                       .source_stride = whole.rows * whole.row_bytes,
                       .stride = bytes,
                       .bytes = bytes,
                       .count = bytes != 0 ? count : 0};
    part.map.add(matrices, tensor.map);
    parts.push_back(std::move(part));
    begin += bytes;
  }
  return parts;
}

bool is_scalar(const LogicalTensor& tensor) { return tensor.type->name == "F32" && tensor.bytes == sizeof(float); }

LogicalTensor share(std::span<const LogicalTensor* const> parts, std::string name) {
  const LogicalTensor* const first =
      *std::min_element(parts.begin(), parts.end(), [](const auto* a, const auto* b) { return a->index < b->index; });
  LogicalTensor out = *first;
  out.name = std::move(name);
  out.common = true;
  for (const LogicalTensor* part : parts) out.parts.push_back({.name = part->name, .index = part->index, .rows = 1});
  return out;
}

std::vector<LogicalTensor> copies_of(const LogicalTensor& shared, std::span<const std::string> names) {
  std::vector<LogicalTensor> copies(names.size(), shared);
  for (std::size_t i = 0; i < names.size(); ++i) copies[i].name = names[i];
  return copies;
}

LogicalTensor join(std::span<const LogicalTensor* const> parts, const Join& how, std::string name) {
  const std::size_t axis = how.dimension();
  LogicalTensor out;
  out.name = std::move(name);
  out.type = parts.front()->type;
  out.dimension_count = std::max<std::uint32_t>(parts.front()->dimension_count, static_cast<std::uint32_t>(axis) + 1);
  out.dims = parts.front()->dims;
  out.dims[axis] = 0;
  out.index = parts.front()->index;
  for (const LogicalTensor* part : parts) {
    out.dims[axis] += part->dims[axis];
    out.bytes += part->bytes;
    out.index = std::min(out.index, part->index);
  }
  out.stacked = how.axis == Axis::Matrices || parts.front()->stacked;
  out.parts = parts_of(parts, how, out.stacked);
  const Matrices whole = matrices_of(*out.type, out.dims, how.along_elements);
  std::uint64_t begin = 0;
  for (const LogicalTensor* part : parts) {
    if (how.axis == Axis::Matrices) {
      out.map.add(Run{.offset = begin, .bytes = part->bytes, .count = part->bytes != 0 ? 1U : 0U}, part->map);
      begin += part->bytes;
      continue;
    }
    const std::uint64_t bytes = part->dims[axis] * whole.row_bytes;
    const Run matrices{.source_stride = bytes,
                       .offset = begin,
                       .stride = whole.rows * whole.row_bytes,
                       .bytes = bytes,
                       .count = bytes != 0 ? whole.count : 0};
    ByteMap map;
    map.add(matrices, part->map);
    out.map.append(map);
    begin += bytes;
  }
  return out;
}

}  // namespace gguf_fuse::fuse::detail
