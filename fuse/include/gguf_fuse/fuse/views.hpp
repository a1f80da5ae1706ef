// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "gguf_fuse/fuse/plan.hpp"

namespace gguf_fuse::fuse {

/// Where a tensor lies, by the name that an unfused file has for it: a planned tensor, or rows of one that holds
/// several.
struct TensorView {
  std::string_view name{};  ///< refers to the plan, like the pointers
  std::size_t tensor = 0;   ///< index in PlannedFile::tensors
  const TensorType* type = nullptr;
  Dimensions dims{1, 1, 1, 1};     ///< of the tensor by itself
  std::uint64_t row_elements = 1;  ///< of a row: dims[0]; 1 for a part of biases, whose rows are elements
  std::uint64_t first_row = 0;     ///< within the planned tensor
  std::uint64_t rows = 0;          ///< of each matrix
  std::uint64_t stride = 0;        ///< rows from a matrix to the next
  std::uint64_t matrices = 1;
  std::uint64_t bytes = 0;         ///< of all of them
  const Joined* joined = nullptr;  ///< what it is a part of; null where it is the planned tensor itself

  /// Whether its rows follow those of `before` in each matrix of one tensor.
  [[nodiscard]] bool continues(const TensorView& before) const {
    return tensor == before.tensor && joined != nullptr && first_row == before.first_row + before.rows;
  }
  /// Whether its matrices lie one behind the other.
  [[nodiscard]] bool contiguous() const { return matrices <= 1 || stride == rows; }
};

/// Every tensor of the model in one file of a plan of plan_fuse, by planned tensor, then row. `file` must outlive the
/// views.
[[nodiscard]] GGUF_FUSE_EXPORT std::vector<TensorView> views_of(const PlannedFile& file);

}  // namespace gguf_fuse::fuse
