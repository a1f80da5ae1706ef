// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "gguf_fuse/kernels/namespace.hpp"
#include "gguf_fuse/loader/error.hpp"
#include "gguf_fuse/loader/tensor_type.hpp"

namespace gguf_fuse::kernels {

/// Rows that lie interleaved in one tile of a packed matrix.
inline constexpr std::uint32_t kTileRows = 16;
/// Elements of a row that kernels decode at once, and that share one scale when activations are quantised to 8 bits.
inline constexpr std::uint32_t kGroupElements = 32;

/// Whether the kernels compute with weights of this type (and pack_tile knows it).
[[nodiscard]] GGUF_FUSE_EXPORT bool can_compute(const TensorType& type);

/// Sizes of a matrix of `rows` rows of `columns` elements in the kernels' order: tiles of 16 rows, in each tile the
/// regions of the type one after the other, in each region the rows interleaved word by word (docs/kernels.md). A tile
/// takes the bytes of its 16 rows, the last one too, and those of their factors where the type has such.
struct GGUF_FUSE_EXPORT PackedShape {
  const TensorType* type = nullptr;
  std::uint32_t rows = 0;
  std::uint32_t columns = 0;  ///< float types: any number, padded with zeros to a whole group

  [[nodiscard]] std::uint32_t tiles() const { return (rows + kTileRows - 1) / kTileRows; }
  [[nodiscard]] std::uint32_t groups() const { return (columns + kGroupElements - 1) / kGroupElements; }
  /// 0 when the type is none that can_compute() knows.
  [[nodiscard]] std::uint64_t tile_bytes() const;
  [[nodiscard]] std::uint64_t bytes() const { return tiles() * tile_bytes(); }
  /// Where in each tile sixteen floats stand by which kernels multiply the weights of its rows: what a file has beside
  /// a matrix, not in it. Nothing for types that have no such place.
  [[nodiscard]] std::optional<std::uint64_t> factors_at() const;
};

/// Packs one tile: `rows` holds 1 to 16 rows as the file stores them, little-endian, one after the other; rows that are
/// missing become zero bytes. Rows' factors are 1. `tile` takes shape.tile_bytes(). A pure function; tiles may be
/// packed by many threads. Errors: UnsupportedType, InvalidArgument (sizes that do not fit).
[[nodiscard]] GGUF_FUSE_EXPORT Result<void> pack_tile(const PackedShape& shape, std::span<const std::byte> rows,
                                                      std::span<std::byte> tile);

}  // namespace gguf_fuse::kernels
