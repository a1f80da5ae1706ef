// SPDX-License-Identifier: MIT
#include "gguf_fuse/kernels/packing.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "packing_table.hpp"

namespace gguf_fuse {
namespace {

constexpr std::size_t kMaxBlockBytes = 256;

/// Block `block` of sixteen rows, each in its packed order.
using Blocks = std::array<std::array<std::byte, kMaxBlockBytes>, kTileRows>;

std::size_t file_row_bytes(const PackedShape& shape, const Packing& packing) {
  // Floats have no blocks in the file; only their packed rows are padded.
  return packing.floats ? std::size_t{shape.columns} * (packing.bytes / packing.elements)
                        : std::size_t{shape.columns / packing.elements} * packing.bytes;
}

/// Takes a block apart into its regions. `available` is less than a block only at the end of a row of floats.
void take_block(const Packing& packing, const std::byte* file, std::size_t available, std::byte* packed) {
  if (available < packing.bytes) std::fill_n(packed, packing.bytes, std::byte{0});
  std::byte* out = packed;
  for (const Region& region : packing.regions) {
    if (region.bytes == 0) continue;
    std::memcpy(out, file + region.source, std::min<std::size_t>(region.bytes, available));
    out += region.bytes;
  }
  if (packing.rearrange != nullptr) packing.rearrange(file, packed);
}

template <std::size_t WordBytes>
void interleave(const Blocks& blocks, std::size_t first, std::size_t bytes, std::byte* out) {
  for (std::size_t at = first; at < first + bytes; at += WordBytes) {
    for (std::size_t row = 0; row < kTileRows; ++row, out += WordBytes)
      std::memcpy(out, blocks[row].data() + at, WordBytes);
  }
}

/// Puts block number `block` of all rows into its place in each region of the tile.
void put_blocks(const Packing& packing, const Blocks& blocks, std::size_t block, std::size_t count, std::byte* tile) {
  std::size_t first = 0;
  for (const Region& region : packing.regions) {
    std::byte* out = tile + kTileRows * (first * count + block * region.bytes);
    if (region.word == 4) interleave<4>(blocks, first, region.bytes, out);
    if (region.word == 2) interleave<2>(blocks, first, region.bytes, out);
    if (region.word == 1) interleave<1>(blocks, first, region.bytes, out);
    first += region.bytes;
  }
}

Result<void> check_sizes(const PackedShape& shape, const Packing& packing, std::size_t rows, std::size_t tile) {
  if (shape.columns == 0 || (!packing.floats && shape.columns % packing.elements != 0)) {
    return fail(Error{.code = ErrorCode::InvalidArgument,
                      .subject = std::string(packing.type),
                      .expected = "columns in whole blocks of " + std::to_string(packing.elements),
                      .actual = std::to_string(shape.columns)});
  }
  const std::size_t row = file_row_bytes(shape, packing);
  if (rows == 0 || rows % row != 0 || rows / row > kTileRows) {
    return fail(Error{.code = ErrorCode::InvalidArgument,
                      .subject = std::string(packing.type),
                      .expected = "1 to 16 rows of " + std::to_string(row) + " bytes",
                      .actual = std::to_string(rows) + " bytes"});
  }
  if (tile == shape.tile_bytes()) return {};
  return fail(Error{.code = ErrorCode::InvalidArgument,
                    .subject = std::string(packing.type),
                    .expected = "a tile of " + std::to_string(shape.tile_bytes()) + " bytes",
                    .actual = std::to_string(tile)});
}

}  // namespace

bool can_compute(const TensorType& type) { return find_packing(type) != nullptr; }

std::uint64_t PackedShape::tile_bytes() const {
  const Packing* packing = type == nullptr ? nullptr : find_packing(*type);
  if (packing == nullptr) return 0;
  const std::uint64_t blocks = (columns + packing->elements - 1) / packing->elements;
  return kTileRows * blocks * packing->bytes;
}

Result<void> pack_tile(const PackedShape& shape, std::span<const std::byte> rows, std::span<std::byte> tile) {
  const Packing* packing = shape.type == nullptr ? nullptr : find_packing(*shape.type);
  if (packing == nullptr) {
    return fail(Error{.code = ErrorCode::UnsupportedType,
                      .subject = shape.type == nullptr ? "no type" : std::string(shape.type->name)});
  }
  GGUF_FUSE_CHECK(check_sizes(shape, *packing, rows.size(), tile.size()));
  const std::size_t row_bytes = file_row_bytes(shape, *packing);
  const std::size_t row_count = rows.size() / row_bytes;
  const std::size_t blocks = tile.size() / (std::size_t{kTileRows} * packing->bytes);
  Blocks scratch{};
  for (std::size_t block = 0; block < blocks; ++block) {
    const std::size_t at = block * packing->bytes;
    for (std::size_t row = 0; row < row_count; ++row) {
      take_block(*packing, rows.data() + row * row_bytes + at, row_bytes - at, scratch[row].data());
    }
    put_blocks(*packing, scratch, block, blocks, tile.data());
  }
  return {};
}

}  // namespace gguf_fuse
