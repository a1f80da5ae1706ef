// SPDX-License-Identifier: MIT
#include "gguf_fuse/kernels/packing.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "support/paths.hpp"
#include "support/random.hpp"
#include "types.hpp"

namespace gguf_fuse::kernels {
namespace {

using testing::HasSubstr;

/// Two blocks of every type, or two groups.
PackedShape two_blocks(const TensorType& type, std::uint32_t rows) {
  return {.type = &type, .rows = rows, .columns = 2 * std::max(type.block_elements, kGroupElements)};
}

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

TEST(Packing, EveryTypeThatKernelsComputeWithHasReferenceData) {
  std::set<std::string> known;
  for (const TensorType* type : support::computable_types()) known.emplace(type->name);
  std::set<std::string> expected = {"F32"};  // needs none
  for (const auto& file : std::filesystem::directory_iterator(support::test_data("quant"))) {
    const std::string name = file.path().filename().string();
    expected.insert(name.substr(0, name.find('.')));
  }
  EXPECT_EQ(known, expected);
}

/// What of a tile comes from the file's bytes: all but the factors of its rows, which are its end.
std::size_t bytes_of_file(const PackedShape& shape) { return shape.factors_at().value_or(shape.tile_bytes()); }

TEST(Packing, ATileTakesTheBytesOfItsSixteenRows) {
  for (const TensorType* type : support::computable_types()) {
    const PackedShape shape = two_blocks(*type, 33);
    EXPECT_EQ(bytes_of_file(shape), 16 * row_bytes(*shape.type, shape.columns).value()) << type->name;
    EXPECT_EQ(shape.bytes(), 3 * shape.tile_bytes()) << type->name;
  }
}

// A file has them beside the matrix, if at all.
TEST(Packing, OnlyRowsOfNvfp4HaveFactorsAndTheyAreOne) {
  for (const TensorType* type : support::computable_types()) {
    const PackedShape shape = two_blocks(*type, 16);
    ASSERT_EQ(shape.factors_at().has_value(), type->name == "NVFP4") << type->name;
    if (!shape.factors_at()) continue;
    ASSERT_EQ(shape.tile_bytes(), *shape.factors_at() + 16 * sizeof(float));
    const std::vector<std::byte> rows = random_rows(shape, 11, 3);
    std::vector<float> factors(16);
    std::memcpy(factors.data(), pack(shape, rows).data() + *shape.factors_at(), 16 * sizeof(float));
    std::vector<float> expected(16, 0.0F);
    std::fill_n(expected.begin(), 11, 1.0F);
    EXPECT_EQ(factors, expected);
  }
  EXPECT_FALSE(PackedShape{}.factors_at());
  EXPECT_FALSE((PackedShape{.type = find_tensor_type("Q8_1"), .rows = 16, .columns = 32}.factors_at()));
}

TEST(Packing, EveryBitHasOnePlaceOfItsOwn) {
  for (const TensorType* type : support::computable_types()) {
    const PackedShape shape = two_blocks(*type, 16);
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
      ASSERT_EQ(flipped.size(), 1U) << type->name << " bit " << bit;
      EXPECT_TRUE(places.insert(flipped[0]).second) << type->name << " bit " << bit << " shares its place";
    }
  }
}

TEST(Packing, RowsDoNotMix) {
  for (const TensorType* type : support::computable_types()) {
    const PackedShape shape = two_blocks(*type, 16);
    const std::vector<std::byte> rows = random_rows(shape, 16, 2);
    const std::vector<std::byte> all = pack(shape, rows);
    const std::size_t row = rows.size() / 16;
    // A tile of the first n rows is the whole one with the other rows' bytes zero.
    for (const std::size_t count : {std::size_t{1}, std::size_t{15}}) {
      const std::vector<std::byte> some =
          pack(shape, {rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(count * row)});
      std::size_t kept = 0;
      for (std::size_t i = 0; i < bytes_of_file(shape); ++i) {
        ASSERT_TRUE(some[i] == all[i] || some[i] == std::byte{0}) << type->name << " byte " << i;
        if (some[i] == all[i]) ++kept;
      }
      EXPECT_GE(kept, count * row) << type->name;
      EXPECT_LE(kept, count * row + all.size() / 64) << type->name;  // random bytes that are zero anyway
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
  const PackedShape unknown{.type = find_tensor_type("Q8_1"), .rows = 16, .columns = 256};
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
}  // namespace gguf_fuse::kernels
