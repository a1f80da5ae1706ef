// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gguf_fuse/kernels/device.hpp"
#include "gguf_fuse/kernels/matmul.hpp"
#include "packing_table.hpp"

namespace gguf_fuse::kernels::detail {

/// A CPU's work-item computes with up to so many tiles of tokens: their activations stay in the second cache while the
/// next items do other rows, and the weights are read from memory once for them.
inline constexpr std::uint32_t kMaxTokenTiles = 8;
/// Fewer when there are few rows, so that each compute unit gets about so many items.
inline constexpr std::uint32_t kItemsPerUnit = 4;

/// What a program of products is made for. Sizes are arguments of its kernels, so that few programs serve a model.
struct ProductSpec {
  std::string_view name{};                 ///< for people
  std::string_view file{};                 ///< NAME of NAME_vector.cl and NAME_group.cl
  std::vector<const TensorType*> types{};  ///< of each matrix
  Activations kind = Activations::Q8;
  std::uint32_t tile = kBatchTile;
  bool gated = false;
  bool activated = false;  ///< one matrix, and an activation behind it
};

/// Its text includes the product once for each different type.
[[nodiscard]] ProgramSpec product_program(const DeviceProfile& profile, const ProductSpec& product);

/// The program of a matrix product.
[[nodiscard]] ProgramSpec matmul_program(const DeviceProfile& profile, const MatmulShape& shape);

/// The program of embed() for a type.
[[nodiscard]] ProgramSpec embed_program(const DeviceProfile& profile, const TensorType& type);

/// Whether a packed matrix can be read: its type, its blocks, its place in the buffer. Errors: UnsupportedType,
/// InvalidArgument.
[[nodiscard]] Result<void> check_matrix(const Matrix& matrix);

}  // namespace gguf_fuse::kernels::detail
