// SPDX-License-Identifier: MIT
#include "gguf_fuse/kernels/packing.hpp"

#include <gmock/gmock.h>

#include <bit>
#include <set>
#include <string>
#include <vector>

#include "support/random.hpp"

namespace gguf_fuse {
namespace {

using testing::HasSubstr;

constexpr const char* kTypes[] = {"F32",    "F16",     "BF16",   "Q4_0",  "Q4_1",    "Q5_0",  "Q5_1",
                                  "Q8_0",   "Q2_K",    "Q3_K",   "Q4_K",  "Q5_K",    "Q6_K",  "IQ4_NL",
                                  "IQ4_XS", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "MXFP4"};

/// Two blocks of every type.
std::uint32_t columns_of(const char* type) { return find_tensor_type(type)->block_elements == 256 ? 512 : 64; }

std::vector<std::byte> pack(const PackedShape& shape, const std::vector<std::byte>& rows) {
  std::vector<std::byte> tile(shape.tile_bytes(), std::byte{0xee});
  const auto done = pack_tile(shape, rows, tile);
  EXPECT_TRUE(done) << done.error().message();
  return tile;
}

std::vector<std::byte> random_rows(const PackedShape& shape, std::size_t rows, std::uint64_t seed) {
  std::vector<std::byte> bytes(rows * row_bytes(*shape.type, shape.columns).value());
  support::Random(seed).fill(bytes);
  return bytes;
}

std::vector<std::size_t> flipped_bits(const std::vector<std::byte>& a, const std::vector<std::byte>& b) {
  std::vector<std::size_t> bits;
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      if (std::to_integer<unsigned>(a[i] ^ b[i]) >> bit & 1) bits.push_back(8 * i + bit);
    }
  }
  return bits;
}

TEST(Packing, NamesTheTypesThatKernelsComputeWith) {
  std::set<std::string> known;
  for (const TensorType& type : tensor_types()) {
    if (can_compute(type)) known.emplace(type.name);
  }
  EXPECT_EQ(known, std::set<std::string>(std::begin(kTypes), std::end(kTypes)));
}

TEST(Packing, ATileTakesTheBytesOfItsSixteenRows) {
  for (const char* type : kTypes) {
    const PackedShape shape{.type = find_tensor_type(type), .rows = 33, .columns = columns_of(type)};
    EXPECT_EQ(shape.tile_bytes(), 16 * row_bytes(*shape.type, shape.columns).value()) << type;
    EXPECT_EQ(shape.bytes(), 3 * shape.tile_bytes()) << type;
  }
}

TEST(Packing, EveryBitHasOnePlaceOfItsOwn) {
  for (const char* type : kTypes) {
    const PackedShape shape{.type = find_tensor_type(type), .rows = 16, .columns = columns_of(type)};
    std::vector<std::byte> rows = random_rows(shape, 16, 1);
    const std::vector<std::byte> before = pack(shape, rows);
    const std::size_t row = rows.size() / 16;
    std::set<std::size_t> places;
    // Every bit of row 11; the other rows lie beside it in the same way (next test).
    for (std::size_t bit = 0; bit < 8 * row; ++bit) {
      std::byte& changed = rows[11 * row + bit / 8];
      changed ^= static_cast<std::byte>(1U << (bit % 8));
      const std::vector<std::size_t> flipped = flipped_bits(before, pack(shape, rows));
      changed ^= static_cast<std::byte>(1U << (bit % 8));
      ASSERT_EQ(flipped.size(), 1U) << type << " bit " << bit;
      EXPECT_TRUE(places.insert(flipped[0]).second) << type << " bit " << bit << " shares its place";
    }
  }
}

TEST(Packing, RowsDoNotMix) {
  for (const char* type : kTypes) {
    const PackedShape shape{.type = find_tensor_type(type), .rows = 16, .columns = columns_of(type)};
    const std::vector<std::byte> rows = random_rows(shape, 16, 2);
    const std::vector<std::byte> all = pack(shape, rows);
    const std::size_t row = rows.size() / 16;
    // A tile of the first n rows is the whole one with the other rows' bytes zero.
    for (const std::size_t count : {std::size_t{1}, std::size_t{15}}) {
      const std::vector<std::byte> some =
          pack(shape, {rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(count * row)});
      std::size_t kept = 0;
      for (std::size_t i = 0; i < all.size(); ++i) {
        ASSERT_TRUE(some[i] == all[i] || some[i] == std::byte{0}) << type << " byte " << i;
        if (some[i] == all[i]) ++kept;
      }
      EXPECT_GE(kept, count * row) << type;
      EXPECT_LE(kept, count * row + all.size() / 64) << type;  // random bytes that are zero anyway
    }
  }
}

TEST(Packing, PadsFloatsToWholeGroups) {
  const PackedShape shape{.type = find_tensor_type("F32"), .rows = 1, .columns = 33};
  std::vector<std::byte> row(33 * 4, std::byte{0xff});
  const std::vector<std::byte> tile = pack(shape, row);
  ASSERT_EQ(tile.size(), 16U * 64 * 4);
  for (std::size_t column = 0; column < 64; ++column) {
    EXPECT_EQ(tile[64 * column], column < 33 ? std::byte{0xff} : std::byte{0}) << column;
  }
}

TEST(Packing, RefusesWhatDoesNotFit) {
  std::vector<std::byte> bytes(4096);
  const PackedShape unknown{.type = find_tensor_type("IQ1_S"), .rows = 16, .columns = 256};
  EXPECT_EQ(pack_tile(unknown, bytes, bytes).error().code, ErrorCode::UnsupportedType);
  EXPECT_EQ(pack_tile(PackedShape{}, bytes, bytes).error().code, ErrorCode::UnsupportedType);
  const PackedShape partial{.type = find_tensor_type("Q4_0"), .rows = 16, .columns = 33};
  EXPECT_EQ(pack_tile(partial, bytes, bytes).error().code, ErrorCode::InvalidArgument);
  const PackedShape shape{.type = find_tensor_type("Q4_0"), .rows = 16, .columns = 64};
  const std::span<std::byte> tile = std::span(bytes).first(shape.tile_bytes());
  const std::span<const std::byte> rows(bytes);
  EXPECT_TRUE(pack_tile(shape, rows.first(36), tile));
  EXPECT_EQ(pack_tile(shape, rows.first(37), tile).error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(pack_tile(shape, rows.first(0), tile).error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(pack_tile(shape, rows.first(std::size_t{17} * 36), tile).error().code, ErrorCode::InvalidArgument);
  const auto short_tile = pack_tile(shape, rows.first(36), tile.first(tile.size() - 1));
  ASSERT_FALSE(short_tile);
  EXPECT_THAT(short_tile.error().message(), HasSubstr("576"));
}

}  // namespace
}  // namespace gguf_fuse
