// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gguf_fuse/loader/container.hpp"
#include "support/gguf_builder.hpp"

namespace gguf_fuse::test_support {

/// A file whose keys and tensors can be taken away, replaced and added; the rest is kept as it is.
class EditedModel {
 public:
  explicit EditedModel(const std::string& path);

  [[nodiscard]] std::string architecture() const;
  [[nodiscard]] bool has_key(std::string_view key) const { return container_->metadata.find(key).has_value(); }
  EditedModel& without_key(std::string key) { return left_out_.push_back(std::move(key)), *this; }
  EditedModel& with_key(std::function<void(HeaderWriter&)> write) { return keys_.push_back(std::move(write)), *this; }

  [[nodiscard]] const std::vector<TensorSpec>& tensors() const { return tensors_; }
  EditedModel& without_tensor(std::string_view name);
  EditedModel& with_tensor(TensorSpec spec) { return tensors_.push_back(std::move(spec)), *this; }

  /// Writes the file; returns the path.
  std::string write(const std::string& path) const;

 private:
  std::shared_ptr<Bytes> bytes_;
  std::shared_ptr<Container> container_;
  std::vector<std::string> left_out_;
  std::vector<std::function<void(HeaderWriter&)>> keys_;
  std::vector<TensorSpec> tensors_;
};

}  // namespace gguf_fuse::test_support
