// SPDX-License-Identifier: MIT
#include "gguf_fuse/kernels/packing.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "packing_table.hpp"

namespace gguf_fuse::kernels {
namespace {

constexpr std::size_t kMaxBlockBytes = 256;

/// Block `block` of sixteen rows, each in its packed order.
using Blocks = std::array<std::array<std::byte, kMaxBlockBytes>, kTileRows>;

/// Where a block of each of sixteen rows lies.
using BlockRows = std::array<const std::byte*, kTileRows>;

std::size_t blocks_of(const PackedShape& shape) {
  const std::uint32_t elements = packed_block(*shape.type).elements;
  return (shape.columns + elements - 1) / elements;
}

std::size_t file_row_bytes(const PackedShape& shape) { return row_bytes(*shape.type, shape.columns).value_or(0); }

/// Takes a block of `bytes` bytes apart into its regions. Fewer are `available` only at the end of a row of floats.
void take_block(const Packing& packing, const std::byte* file, std::size_t bytes, std::size_t available,
                std::byte* packed) {
  if (available < bytes) std::fill_n(packed, bytes, std::byte{0});
  std::byte* out = packed;
  for (const Region& region : packing.regions) {
    if (region.bytes == 0) continue;
    std::memcpy(out, file + region.source, std::min<std::size_t>(region.bytes, available));
    out += region.bytes;
  }
  if (packing.rearrange != nullptr) packing.rearrange(file, packed);
}

/// Sixteen bytes, a line of a square of words that is transposed.
template <typename Word>
using Line __attribute__((vector_size(16))) = Word;

/// Four words at `at` of four rows. Lines of the result lie `stride` bytes apart.
void transpose(const std::byte* const* rows, std::size_t at, std::size_t stride, std::byte* out, std::uint32_t) {
  Line<std::uint32_t> in[4];
  for (std::size_t i = 0; i < 4; ++i) std::memcpy(&in[i], rows[i] + at, sizeof in[i]);
  const auto low01 = __builtin_shufflevector(in[0], in[1], 0, 4, 1, 5);
  const auto high01 = __builtin_shufflevector(in[0], in[1], 2, 6, 3, 7);
  const auto low23 = __builtin_shufflevector(in[2], in[3], 0, 4, 1, 5);
  const auto high23 = __builtin_shufflevector(in[2], in[3], 2, 6, 3, 7);
  const Line<std::uint32_t> lines[4] = {
      __builtin_shufflevector(low01, low23, 0, 1, 4, 5), __builtin_shufflevector(low01, low23, 2, 3, 6, 7),
      __builtin_shufflevector(high01, high23, 0, 1, 4, 5), __builtin_shufflevector(high01, high23, 2, 3, 6, 7)};
  for (std::size_t i = 0; i < 4; ++i) std::memcpy(out + i * stride, &lines[i], sizeof lines[i]);
}

/// Eight half-words of eight rows: three times the words of line i and line i + 4 alternate.
void transpose(const std::byte* const* rows, std::size_t at, std::size_t stride, std::byte* out, std::uint16_t) {
  Line<std::uint16_t> lines[8];
  for (std::size_t i = 0; i < 8; ++i) std::memcpy(&lines[i], rows[i] + at, sizeof lines[i]);
  for (int step = 0; step < 3; ++step) {
    Line<std::uint16_t> next[8];
    for (std::size_t i = 0; i < 4; ++i) {
      next[2 * i] = __builtin_shufflevector(lines[i], lines[i + 4], 0, 8, 1, 9, 2, 10, 3, 11);
      next[2 * i + 1] = __builtin_shufflevector(lines[i], lines[i + 4], 4, 12, 5, 13, 6, 14, 7, 15);
    }
    std::copy(std::begin(next), std::end(next), lines);
  }
  for (std::size_t i = 0; i < 8; ++i) std::memcpy(out + i * stride, &lines[i], sizeof lines[i]);
}

/// Words of sixteen rows, the first of each, then the second. Compilers do not find the transposition by themselves;
/// with it packing keeps pace with memory (docs/loading.md).
template <typename Word>
void interleave(const BlockRows& rows, std::size_t first, std::size_t bytes, std::byte* out) {
  constexpr std::size_t kLineBytes = 16;
  constexpr std::size_t kWords = kLineBytes / sizeof(Word);
  const std::size_t end = first + bytes;
  if constexpr (sizeof(Word) > 1) {
    for (; first + kLineBytes <= end; first += kLineBytes, out += kTileRows * kLineBytes) {
      for (std::size_t row = 0; row < kTileRows; row += kWords) {
        transpose(rows.data() + row, first, kTileRows * sizeof(Word), out + row * sizeof(Word), Word{});
      }
    }
  }
  for (; first < end; first += sizeof(Word)) {
    for (std::size_t row = 0; row < kTileRows; ++row, out += sizeof(Word)) {
      std::memcpy(out, rows[row] + first, sizeof(Word));
    }
  }
}

/// Words of `word` bytes.
void interleave(std::uint32_t word, const BlockRows& rows, std::size_t first, std::size_t bytes, std::byte* out) {
  if (word == 4) interleave<std::uint32_t>(rows, first, bytes, out);
  if (word == 2) interleave<std::uint16_t>(rows, first, bytes, out);
  if (word == 1) interleave<std::uint8_t>(rows, first, bytes, out);
}

/// Puts block number `block` of all rows into its place in each region of the tile. `in_file`: the rows' blocks are as
/// the file has them, not taken apart yet.
void put_blocks(const Packing& packing, const BlockRows& rows, bool in_file, std::size_t block, std::size_t count,
                std::byte* tile) {
  std::size_t first = 0;
  for (const Region& region : packing.regions) {
    std::byte* out = tile + kTileRows * (first * count + block * region.bytes);
    interleave(region.word, rows, in_file ? region.source : first, region.bytes, out);
    first += region.bytes;
  }
}

/// The plane of sixteen rows' factors; 0 where there is no row.
void put_neutral_factors(std::size_t row_count, std::byte* plane) {
  std::array<float, kTileRows> factors{};
  std::fill_n(factors.begin(), row_count, 1.0F);
  std::memcpy(plane, factors.data(), sizeof factors);
}

/// One tile of `row_count` rows of `file_row` bytes in the file.
void pack_rows(const TensorType& type, const Packing& packing, const std::byte* rows, std::size_t row_count,
               std::size_t file_row, std::size_t blocks, std::byte* tile) {
  const std::size_t block_bytes = packed_block(type).bytes;
  Blocks scratch;
  BlockRows taken, there;
  for (std::size_t row = 0; row < kTileRows; ++row) {
    if (row >= row_count) scratch[row].fill(std::byte{0});
    taken[row] = scratch[row].data();
  }
  for (std::size_t block = 0; block < blocks; ++block) {
    const std::size_t at = type.row_header_bytes + block * block_bytes;
    // Nothing to rearrange, nothing to fill up: the rows need no copy of their own.
    const bool in_file = packing.rearrange == nullptr && row_count == kTileRows && file_row - at >= block_bytes;
    for (std::size_t row = 0; row < row_count; ++row) {
      const std::byte* from = rows + row * file_row + at;
      there[row] = from;
      if (!in_file) take_block(packing, from, block_bytes, file_row - at, scratch[row].data());
    }
    put_blocks(packing, in_file ? there : taken, in_file, block, blocks, tile);
  }
  std::byte* const row_plane = tile + kTileRows * blocks * block_bytes;
  if (packing.row_factors) return put_neutral_factors(row_count, row_plane);
  for (std::size_t row = 0; row < row_count; ++row) taken[row] = rows + row * file_row;
  interleave(type.row_header_bytes, taken, 0, type.row_header_bytes, row_plane);
}

Result<void> check_sizes(const PackedShape& shape, std::size_t rows, std::size_t tile) {
  const TensorType& type = *shape.type;
  if (shape.columns == 0 || shape.columns % type.block_elements != 0) {
    return fail(Error{.code = ErrorCode::InvalidArgument,
                      .subject = std::string(type.name),
                      .expected = "columns in whole blocks of " + std::to_string(type.block_elements),
                      .actual = std::to_string(shape.columns)});
  }
  const std::size_t row = file_row_bytes(shape);
  if (rows == 0 || rows % row != 0 || rows / row > kTileRows) {
    return fail(Error{.code = ErrorCode::InvalidArgument,
                      .subject = std::string(type.name),
                      .expected = "1 to 16 rows of " + std::to_string(row) + " bytes",
                      .actual = std::to_string(rows) + " bytes"});
  }
  if (tile == shape.tile_bytes()) return {};
  return fail(Error{.code = ErrorCode::InvalidArgument,
                    .subject = std::string(type.name),
                    .expected = "a tile of " + std::to_string(shape.tile_bytes()) + " bytes",
                    .actual = std::to_string(tile)});
}

}  // namespace

bool can_compute(const TensorType& type) { return find_packing(type) != nullptr; }

std::uint64_t PackedShape::tile_bytes() const {
  const Packing* packing = type == nullptr ? nullptr : find_packing(*type);
  if (packing == nullptr) return 0;
  const std::uint64_t row_plane = packing->row_factors ? sizeof(float) : type->row_header_bytes;
  return kTileRows * (std::uint64_t{blocks_of(*this)} * packed_block(*type).bytes + row_plane);
}

std::optional<std::uint64_t> PackedShape::factors_at() const {
  const Packing* packing = type == nullptr ? nullptr : find_packing(*type);
  if (packing == nullptr || !packing->row_factors) return std::nullopt;
  return tile_bytes() - kTileRows * sizeof(float);
}

Result<void> pack_tile(const PackedShape& shape, std::span<const std::byte> rows, std::span<std::byte> tile) {
  const Packing* packing = shape.type == nullptr ? nullptr : find_packing(*shape.type);
  if (packing == nullptr) {
    return fail(Error{.code = ErrorCode::UnsupportedType,
                      .subject = shape.type == nullptr ? "no type" : std::string(shape.type->name)});
  }
  GGUF_FUSE_CHECK(check_sizes(shape, rows.size(), tile.size()));
  const std::size_t file_row = file_row_bytes(shape);
  pack_rows(*shape.type, *packing, rows.data(), rows.size() / file_row, file_row, blocks_of(shape), tile.data());
  return {};
}

}  // namespace gguf_fuse::kernels
