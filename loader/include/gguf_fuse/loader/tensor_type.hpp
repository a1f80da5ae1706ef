// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "gguf_fuse/loader/export.hpp"
#include "gguf_fuse/loader/namespace.hpp"

namespace gguf_fuse::loader {

/// Engines that can read a type, as a bit set.
enum Engines : std::uint8_t { kMainline = 1, kIk = 2, kBothEngines = 3 };

/// One row of the type table. A row of ne[0] elements takes
/// row_header_bytes + ne[0] / block_elements * block_bytes bytes; rows of interleaved types come in whole groups.
struct TensorType {
  std::uint32_t id;  ///< ggml_type
  std::string_view name;
  std::uint32_t block_elements;
  std::uint32_t block_bytes;
  std::uint32_t row_header_bytes;  ///< scale stored at the start of each row
  std::uint32_t rows_per_group;    ///< 1 unless rows are interleaved
  std::uint32_t tail_bytes;        ///< bytes behind the last row that belong to the whole tensor (I2_S)
  std::uint8_t engines;            ///< Engines

  /// Rows can be moved between tensors of this type, in whole groups.
  [[nodiscard]] constexpr bool rows_are_self_contained() const { return tail_bytes == 0; }
};

/// ne[0] .. ne[3] in ggml's order (ne[0] = row length); unused dimensions are 1.
using Dimensions = std::array<std::uint64_t, 4>;

[[nodiscard]] GGUF_FUSE_EXPORT std::span<const TensorType> tensor_types();
[[nodiscard]] GGUF_FUSE_EXPORT const TensorType* find_tensor_type(std::uint32_t id);
[[nodiscard]] GGUF_FUSE_EXPORT const TensorType* find_tensor_type(std::string_view name);

/// ne[1] * ne[2] * ne[3], or nothing when it does not fit in 63 bits.
[[nodiscard]] GGUF_FUSE_EXPORT std::optional<std::uint64_t> row_count(const Dimensions& dims);
/// Bytes of a row of `elements` elements; `elements` must be a whole number of blocks. Nothing on overflow of 63 bits.
[[nodiscard]] GGUF_FUSE_EXPORT std::optional<std::uint64_t> row_bytes(const TensorType& type, std::uint64_t elements);
/// Bytes of a tensor as stored; nothing when it does not fit in 63 bits.
[[nodiscard]] GGUF_FUSE_EXPORT std::optional<std::uint64_t> tensor_bytes(const TensorType& type,
                                                                         const Dimensions& dims);

}  // namespace gguf_fuse::loader
