// SPDX-License-Identifier: MIT
#include "support/gguf_builder.hpp"

#include <algorithm>
#include <bit>
#include <set>
#include <stdexcept>

#include "gguf_fuse/loader/model.hpp"
#include "support/file_util.hpp"
#include "support/random.hpp"
#include "support/value_of.hpp"

namespace gguf_fuse::test_support {
namespace {

[[noreturn]] void refuse(const TensorSpec& spec, std::string_view why) {
  throw std::invalid_argument("tensor " + spec.name + " (" + spec.type + "): " + std::string(why));
}

struct Shape {
  const TensorType* type;
  Dimensions dims{1, 1, 1, 1};
  std::uint64_t bytes;
};

Shape shape_of(const TensorSpec& spec) {
  const TensorType* type = find_tensor_type(spec.type);
  if (type == nullptr) refuse(spec, "unknown type");
  if (spec.dims.size() > 4) refuse(spec, "more than four dimensions");
  Dimensions dims{1, 1, 1, 1};
  std::copy(spec.dims.begin(), spec.dims.end(), dims.begin());
  if (dims[0] % type->block_elements != 0) refuse(spec, "a row is not a whole number of blocks");
  if (dims[1] % type->rows_per_group != 0) refuse(spec, "the rows are not a whole number of groups");
  const auto bytes = tensor_bytes(*type, dims);
  if (!bytes) refuse(spec, "too large");
  if (!spec.data.empty() && spec.data.size() != *bytes) refuse(spec, "the data given has another size");
  return {type, dims, *bytes};
}

void fill_floats(Random& random, bool big_endian, std::span<std::byte> out) {
  for (std::size_t at = 0; at + sizeof(float) <= out.size(); at += sizeof(float)) {
    const auto bits = std::bit_cast<std::uint32_t>(random.uniform());
    for (std::size_t i = 0; i < sizeof bits; ++i) {
      const std::size_t shift = 8 * (big_endian ? sizeof bits - 1 - i : i);
      out[at + i] = static_cast<std::byte>(bits >> shift);
    }
  }
}

void fill_blocks(Random& random, const TensorType& type, std::span<std::byte> out) {
  random.fill(out);
  // Without this bit no exponent has all its bits set and none is above 2, wherever a type keeps its scales.
  for (std::byte& value : out) value &= std::byte{0xBF};
  // MXFP4 begins each block with a bare exponent: 2^-9 .. 2^-2 keeps the weights in the range of real ones.
  if (!type.name.starts_with("MXFP4")) return;
  for (std::size_t at = 0; at < out.size(); at += type.block_bytes)
    out[at] = static_cast<std::byte>(118 + random.below(8));
}

}  // namespace

Bytes random_tensor(std::uint64_t seed, const TensorSpec& spec, bool big_endian) {
  const Shape shape = shape_of(spec);
  Random random(seed, spec.name);
  Bytes data(shape.bytes);
  if (shape.type->name == "F32") {
    fill_floats(random, big_endian, data);
  } else {
    fill_blocks(random, *shape.type, data);
  }
  return data;
}

Bytes join_rows(std::span<const Bytes> parts, std::size_t matrices) {
  Bytes joined;
  for (std::size_t matrix = 0; matrix < matrices; ++matrix) {
    for (const Bytes& part : parts) {
      const std::span<const std::byte> slice =
          std::span(part).subspan(matrix * (part.size() / matrices), part.size() / matrices);
      joined.insert(joined.end(), slice.begin(), slice.end());
    }
  }
  return joined;
}

GgufBuilder& GgufBuilder::u32(std::string key, std::uint32_t value) {
  return keys([key = std::move(key), value](HeaderWriter& writer) { writer.add_u32(key, value); });
}

GgufBuilder& GgufBuilder::string(std::string key, std::string value) {
  return keys(
      [key = std::move(key), value = std::move(value)](HeaderWriter& writer) { writer.add_string(key, value); });
}

GgufBuilder& GgufBuilder::tensors(const std::vector<TensorSpec>& specs) {
  tensors_.insert(tensors_.end(), specs.begin(), specs.end());
  return *this;
}

void GgufBuilder::write_keys(HeaderWriter& writer, std::size_t shard, std::size_t shard_count) const {
  value_of(writer.set_alignment(alignment_));
  if (shard == 0) {
    for (const auto& write : keys_) write(writer);
  }
  if (alignment_ != kDefaultAlignment) writer.add_u32("general.alignment", static_cast<std::uint32_t>(alignment_));
  if (shard_count == 0) return;
  writer.add_u16("split.no", static_cast<std::uint16_t>(shard));
  writer.add_u16("split.count", static_cast<std::uint16_t>(shard_count));
  writer.add_i32("split.tensors.count", static_cast<std::int32_t>(tensors_.size()));
}

Bytes GgufBuilder::assemble(std::span<const TensorSpec> tensors, std::size_t shard, std::size_t shard_count) const {
  HeaderWriter writer(version_, big_endian_);
  write_keys(writer, shard, shard_count);
  std::vector<std::uint64_t> offsets;
  std::set<std::string_view> names;
  for (const TensorSpec& spec : tensors) {
    if (!names.insert(spec.name).second) refuse(spec, "appears twice");
    const Shape shape = shape_of(spec);
    offsets.push_back(
        value_of(writer.add_tensor(spec.name, *shape.type, static_cast<std::uint32_t>(spec.dims.size()), shape.dims)));
  }
  Bytes file = writer.finish();
  const std::size_t data_begin = file.size();
  file.resize(data_begin + (unpadded_end_ ? writer.data_bytes() : align_up(writer.data_bytes(), alignment_)));
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const Bytes data = tensors[i].data.empty() ? random_tensor(seed_, tensors[i], big_endian_) : tensors[i].data;
    std::copy(data.begin(), data.end(), file.begin() + static_cast<std::ptrdiff_t>(data_begin + offsets[i]));
  }
  return file;
}

Bytes GgufBuilder::build() const { return assemble(tensors_, 0, 0); }

std::vector<Bytes> GgufBuilder::build_shards(std::size_t tensors_per_shard) const {
  const std::size_t count = std::max<std::size_t>(1, (tensors_.size() + tensors_per_shard - 1) / tensors_per_shard);
  std::vector<Bytes> shards;
  for (std::size_t shard = 0; shard < count; ++shard) {
    const std::size_t begin = shard * tensors_per_shard;
    const std::size_t size = std::min(tensors_per_shard, tensors_.size() - begin);
    shards.push_back(assemble(std::span(tensors_).subspan(begin, size), shard, count));
  }
  return shards;
}

std::vector<std::string> write_shards(const std::string& prefix, std::span<const Bytes> shards) {
  std::vector<std::string> paths;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    paths.push_back(shard_path(prefix, i, shards.size()));
    write_file(paths.back(), shards[i]);
  }
  return paths;
}

}  // namespace gguf_fuse::test_support
