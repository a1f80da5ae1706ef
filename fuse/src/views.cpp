// SPDX-License-Identifier: MIT
#include "gguf_fuse/fuse/views.hpp"

namespace gguf_fuse::fuse {
namespace {

/// The planned tensor as one view of its own name.
TensorView whole(const PlannedFile& file, std::size_t index) {
  const PlannedTensor& tensor = file.tensors[index];
  const Dimensions& dims = tensor.dims;
  return {.name = tensor.name,
          .tensor = index,
          .type = tensor.type,
          .dims = dims,
          .row_elements = dims[0],
          .rows = dims[1],
          .stride = dims[1],
          .matrices = dims[2] * dims[3],
          .bytes = tensor.bytes};
}

}  // namespace

std::vector<TensorView> views_of(const PlannedFile& file) {
  std::vector<TensorView> views;
  for (std::size_t i = 0; i < file.tensors.size(); ++i) {
    TensorView view = whole(file, i);
    const auto& joined = file.tensors[i].joined;
    if (!joined) {
      views.push_back(view);
      continue;
    }
    view.joined = &*joined;
    if (joined->of_elements) {
      view.row_elements = 1;
      view.stride = view.dims[0];
      view.matrices *= view.dims[1];
    }
    for (const Joined::Part& part : joined->parts) {
      view.name = part.name;
      view.rows = view.dims[joined->of_elements ? 0 : 1] = part.rows;
      view.bytes = view.rows * view.matrices * row_bytes(*view.type, view.row_elements).value_or(0);
      views.push_back(view);
      view.first_row += part.rows;
    }
  }
  return views;
}

}  // namespace gguf_fuse::fuse
