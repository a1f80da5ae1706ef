// SPDX-License-Identifier: MIT
#include "support/rewrite.hpp"

#include <algorithm>
#include <stdexcept>

#include "support/value_of.hpp"

namespace gguf_fuse::test_support {
namespace {

Container read(const Bytes& file) { return value_of(read_container(*memory_source(file, "in.gguf"))); }

}  // namespace

TensorSpec& Pieces::tensor(std::string_view name) {
  const auto found =
      std::find_if(tensors.begin(), tensors.end(), [name](const auto& spec) { return spec.name == name; });
  if (found == tensors.end()) throw std::runtime_error("no tensor " + std::string(name));
  return *found;
}

void Pieces::drop_keys(std::string_view prefix) {
  std::erase_if(keys, [prefix](const Key& key) { return key.name.starts_with(prefix); });
}

Pieces Pieces::of(const Bytes& file) { return of(std::vector<Bytes>{file}); }

Pieces Pieces::of(const std::vector<Bytes>& shards) {
  Pieces pieces;
  for (std::size_t shard = 0; shard < shards.size(); ++shard) {
    const Container container = read(shards[shard]);
    pieces.version = container.version;
    pieces.big_endian = container.big_endian;
    if (shard == 0) pieces.alignment = container.alignment;
    for (std::size_t i = 0; shard == 0 && i < container.metadata.size(); ++i) {
      const Metadata::Entry entry = container.metadata[i];
      const auto bytes = entry.value.bytes();
      pieces.keys.push_back({std::string(entry.key), entry.value.type(), {bytes.begin(), bytes.end()}});
    }
    for (const TensorInfo& tensor : container.tensors) {
      const auto begin = shards[shard].begin() + static_cast<std::ptrdiff_t>(container.data_offset + tensor.offset);
      pieces.tensors.push_back({std::string(tensor.name),
                                std::string(tensor.type->name),
                                {tensor.dims.begin(), tensor.dims.begin() + tensor.dimension_count},
                                {begin, begin + static_cast<std::ptrdiff_t>(tensor.bytes)}});
    }
  }
  return pieces;
}

Bytes Pieces::build() const {
  GgufBuilder builder;
  builder.version(version).big_endian(big_endian).alignment(alignment);
  for (const Key& key : keys) {
    if (key.name != "general.alignment" || alignment == kDefaultAlignment)
      builder.keys([&key](HeaderWriter& writer) { writer.add_value(key.name, key.type, key.value); });
  }
  return builder.tensors(tensors).build();
}

Bytes with_key(const Bytes& file, std::string_view key, const std::function<void(HeaderWriter&)>& write) {
  const Container container = read(file);
  HeaderWriter writer(container.version, container.big_endian);
  value_of(writer.set_alignment(container.alignment));
  bool written = false;
  for (std::size_t i = 0; i < container.metadata.size(); ++i) {
    const Metadata::Entry entry = container.metadata[i];
    const bool same = entry.key == key;
    if (!same) writer.add_record(entry.record);
    if (same && write) write(writer);
    written = written || same;
  }
  if (!written && write) write(writer);
  for (const TensorInfo& tensor : container.tensors)
    value_of(writer.add_tensor(tensor.name, *tensor.type, tensor.dimension_count, tensor.dims));
  Bytes out = writer.finish();
  out.insert(out.end(), file.begin() + static_cast<std::ptrdiff_t>(container.data_offset), file.end());
  return out;
}

}  // namespace gguf_fuse::test_support
