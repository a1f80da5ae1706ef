// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "gguf_fuse/kernels/packing.hpp"
#include "support/namespace.hpp"

namespace gguf_fuse::test_support {

/// What the kernels compute with, in the order of the loader's table.
inline std::vector<const TensorType*> computable_types() {
  std::vector<const TensorType*> types;
  for (const TensorType& type : tensor_types()) {
    if (can_compute(type)) types.push_back(&type);
  }
  return types;
}

inline bool is_float(const TensorType& type) { return type.block_elements == 1; }

}  // namespace gguf_fuse::test_support
