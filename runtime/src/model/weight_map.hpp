// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "gguf_fuse/fuse/plan.hpp"
#include "gguf_fuse/fuse/views.hpp"
#include "gguf_fuse/kernels/device.hpp"
#include "gguf_fuse/kernels/matmul.hpp"
#include "gguf_fuse/runtime/namespace.hpp"

namespace gguf_fuse::runtime::detail {

struct Network;
class TensorPlaces;

/// A factor beside a matrix (`.scale`), or one for each of a tensor's matrices; on the host, once it is loaded.
struct MatrixScale {
  std::string tensor;
  TensorView of;  ///< what it multiplies
  std::vector<float> values;
};

/// Where rows of a tensor go; of floats and host, where so many single elements go. Exactly one of the destinations is
/// set.
struct Placement {
  std::size_t tensor = 0;  ///< index in the plan's file
  std::uint64_t first_row = 0;
  std::uint64_t rows = 0;
  Matrix matrix{};  ///< packed, row 0 is first_row
  Buffer floats{};  ///< as they are, from float_offset (bytes)
  std::uint64_t float_offset = 0;
  std::vector<float>* host = nullptr;  ///< resized already
};

struct WeightMap {
  std::vector<Placement> placements;  ///< by tensor, then row
  std::vector<std::string> left_out;  ///< tensors of the file that text is computed without
  std::vector<std::unique_ptr<MatrixScale>> scales;
};

/// Finds every tensor of the network in the plan (fused or not), checks its shape and type, and asks for its place.
/// Errors: MissingTensor, BadTensorShape, UnsupportedType.
[[nodiscard]] Result<void> map_network(TensorPlaces& tensors, std::span<const TensorView> views,
                                       const std::string& path, Network& network);

}  // namespace gguf_fuse::runtime::detail
