// SPDX-License-Identifier: MIT
#include "support/edited_model.hpp"

#include <algorithm>

#include "support/file_util.hpp"
#include "support/value_of.hpp"

namespace gguf_fuse::test_support {

EditedModel::EditedModel(const std::string& path) : bytes_(std::make_shared<Bytes>(read_file(path))) {
  const auto source = memory_source(*bytes_, path);
  container_ = std::make_shared<Container>(value_of(read_container(*source)));
  for (const TensorInfo& tensor : container_->tensors) {
    const auto begin = bytes_->begin() + static_cast<std::ptrdiff_t>(container_->data_offset + tensor.offset);
    tensors_.push_back({.name = std::string(tensor.name),
                        .type = std::string(tensor.type->name),
                        .dims = {tensor.dims.begin(), tensor.dims.begin() + tensor.dimension_count},
                        .data = {begin, begin + static_cast<std::ptrdiff_t>(tensor.bytes)}});
  }
}

std::string EditedModel::architecture() const {
  return std::string(value_of(container_->metadata.get_string("general.architecture")));
}

EditedModel& EditedModel::without_tensor(std::string_view name) {
  std::erase_if(tensors_, [name](const TensorSpec& tensor) { return tensor.name == name; });
  return *this;
}

std::string EditedModel::write(const std::string& path) const {
  GgufBuilder builder;
  builder.keys([this](HeaderWriter& writer) {
    for (std::size_t i = 0; i < container_->metadata.size(); ++i) {
      const Metadata::Entry entry = container_->metadata[i];
      if (std::find(left_out_.begin(), left_out_.end(), entry.key) == left_out_.end()) writer.add_record(entry.record);
    }
  });
  for (const auto& write : keys_) builder.keys(write);
  write_file(path, builder.tensors(tensors_).build());
  return path;
}

}  // namespace gguf_fuse::test_support
