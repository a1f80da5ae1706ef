// SPDX-License-Identifier: MIT
#pragma once

#include <cpuid.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gguf_fuse/kernels/matmul.hpp"
#include "shared_device.hpp"
#include "support/file_util.hpp"
#include "support/opencl_device.hpp"
#include "support/paths.hpp"
#include "support/random.hpp"
#include "support/reference/matmul_reference.hpp"
#include "support/step.hpp"
#include "support/value_of.hpp"

namespace gguf_fuse::test_support {

/// A way to write kernels that the test device can run.
struct Variant {
  Style style = Style::Vector;
  DotProduct dot = DotProduct::None;
};

inline std::string variant_name(const Variant& variant) {
  std::string name = std::string(style_name(variant.style)) + "_" + std::string(dot_product_name(variant.dot));
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

inline constexpr Variant kVariants[] = {{Style::Vector, DotProduct::None},      {Style::Vector, DotProduct::VnniAvx512},
                                        {Style::Vector, DotProduct::VnniAvx},   {Style::Group, DotProduct::None},
                                        {Style::Group, DotProduct::KhrInteger}, {Style::Group, DotProduct::Dp4a}};

inline std::string variant_test_name(const testing::TestParamInfo<Variant>& info) { return variant_name(info.param); }

inline bool host_has_avx_vnni() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a >> 4 & 1) != 0;
}

/// False when the device was found to lack the dot product; a plain one works everywhere.
inline bool can_run(const Variant& variant) {
  static const DeviceProfile profile = open_device()->profile();
  if (variant.dot == DotProduct::None) return true;
  if (variant.style != profile.style) return false;
  return variant.dot == profile.dot ||
         (variant.dot == DotProduct::VnniAvx && profile.dot == DotProduct::VnniAvx512 && host_has_avx_vnni());
}

/// A small matrix as a file would hold it, and as floats.
struct FileMatrix {
  const TensorType* type = nullptr;
  std::uint32_t rows = 0;
  std::uint32_t columns = 0;
  std::vector<std::byte> bytes{};
  std::vector<float> values{};
  std::vector<float> factors{};  ///< of the rows, in the values already; empty: all 1

  [[nodiscard]] std::size_t row_bytes() const { return bytes.size() / rows; }
};

inline std::filesystem::path quant_file(std::string_view type, std::string_view suffix) {
  return std::filesystem::path(test_data("quant")) / (std::string(type) + std::string(suffix));
}

/// Rows of 512 columns out of the reference files (real ones and random bits with sane scales); F32: random numbers.
inline std::vector<std::byte> reference_rows(std::string_view type, Random& random) {
  std::vector<std::byte> rows;
  if (type == "F32") {
    std::vector<float> numbers(4096);
    for (float& number : numbers) number = random.uniform();
    const auto bytes = std::as_bytes(std::span(numbers));
    rows.assign(bytes.begin(), bytes.end());
    return rows;
  }
  for (const char* part : {".bin", ".rnd.bin"}) {
    const std::vector<std::byte> more = read_file(quant_file(type, part));
    rows.insert(rows.end(), more.begin(), more.end());
  }
  return rows;
}

/// Of a type whose rows have factors: random ones, some of them 0 or negative.
inline void scale_rows(FileMatrix& matrix, Random& random) {
  if (!PackedShape{.type = matrix.type, .rows = matrix.rows, .columns = matrix.columns}.factors_at()) return;
  for (std::uint32_t row = 0; row < matrix.rows; ++row) {
    const float factor = row % 7 == 3 ? 0 : 4 * random.uniform();
    matrix.factors.push_back(factor);
    for (std::uint32_t i = 0; i < matrix.columns; ++i) matrix.values[std::size_t{row} * matrix.columns + i] *= factor;
  }
}

/// Random blocks of reference_rows(), below a random one of its row headers; values for activations of that kind.
inline FileMatrix random_matrix(std::string_view type, std::uint32_t rows, std::uint32_t columns, std::uint64_t seed,
                                Activations kind = Activations::F32) {
  FileMatrix matrix{.type = find_tensor_type(type), .rows = rows, .columns = columns};
  Random random(seed, type);
  const std::vector<std::byte> pool = reference_rows(type, random);
  const std::size_t block = matrix.type->block_bytes, header = matrix.type->row_header_bytes;
  const std::size_t pool_row = row_bytes(*matrix.type, 512).value();
  const auto append = [&](std::size_t at, std::size_t bytes) {
    const auto* from = pool.data() + random.below(pool.size() / pool_row) * pool_row + at;
    matrix.bytes.insert(matrix.bytes.end(), from, from + bytes);
  };
  for (std::uint32_t row = 0; row < rows; ++row) {
    append(0, header);
    for (std::size_t i = 0; i < columns / matrix.type->block_elements; ++i) {
      append(header + random.below((pool_row - header) / block) * block, block);
    }
  }
  matrix.values.resize(std::size_t{rows} * columns);
  for (std::uint32_t row = 0; row < rows; ++row) {
    const auto decoded = decode_row_reference(
        *matrix.type, std::span(matrix.bytes).subspan(row * matrix.row_bytes(), matrix.row_bytes()),
        std::span(matrix.values).subspan(std::size_t{row} * columns, columns), kind);
    if (!decoded) throw std::runtime_error(decoded.error().message());
  }
  scale_rows(matrix, random);
  return matrix;
}

/// Tile number `tile` of a matrix, packed, with its rows' factors.
inline void pack_tile_of(const FileMatrix& file, std::uint32_t tile, std::span<std::byte> out) {
  const PackedShape shape{.type = file.type, .rows = file.rows, .columns = file.columns};
  const std::size_t first = std::size_t{tile} * kTileRows;
  const std::size_t count = std::min<std::size_t>(kTileRows, file.rows - first);
  value_of(pack_tile(shape, std::span(file.bytes).subspan(first * file.row_bytes(), count * file.row_bytes()), out));
  if (file.factors.empty()) return;
  std::memcpy(out.subspan(*shape.factors_at(), count * sizeof(float)).data(), file.factors.data() + first,
              count * sizeof(float));
}

/// Packed, on the device, `offset` bytes behind the start of its buffer.
inline Matrix upload(const Device& device, const FileMatrix& file, std::uint64_t offset = 0) {
  Matrix matrix{.offset = offset, .shape = {.type = file.type, .rows = file.rows, .columns = file.columns}};
  std::vector<std::byte> packed(offset + matrix.shape.bytes(), std::byte{0x5a});
  const std::uint64_t bytes = matrix.shape.tile_bytes();
  for (std::uint32_t tile = 0; tile < matrix.shape.tiles(); ++tile) {
    pack_tile_of(file, tile, std::span(packed).subspan(offset + tile * bytes, bytes));
  }
  matrix.buffer = buffer_of(device, packed);
  return matrix;
}

/// Activations as prepare() makes them, and the numbers that they stand for.
struct TestActivations {
  PreparedShape shape{};
  std::vector<std::byte> bytes{};
  std::vector<float> values{};  ///< [tokens][columns]
};

/// A group of 32 of a token: values, scale, and the scale times the sums of all, the first and the last 16.
inline void put_q8(TestActivations& made, std::byte* record, std::uint32_t t, float* values) {
  float largest = 0;
  for (int i = 0; i < 32; ++i) largest = std::max(largest, std::fabs(values[i]));
  const float scale = largest / 127;
  int sums[2] = {0, 0};
  for (int i = 0; i < 32; ++i) {
    const auto quantised = static_cast<int>(scale > 0 ? std::nearbyint(values[i] / scale) : 0);
    record[32 * t + static_cast<std::uint32_t>(i)] = static_cast<std::byte>(quantised);
    values[i] = scale * static_cast<float>(quantised);
    sums[i / 16] += quantised;
  }
  const float rows[4] = {scale, scale * static_cast<float>(sums[0] + sums[1]), scale * static_cast<float>(sums[0]),
                         scale * static_cast<float>(sums[1])};
  const std::uint32_t tile = made.shape.tile;
  for (std::uint32_t i = 0; i < 4; ++i) std::memcpy(record + 32 * tile + 4 * (tile * i + t), &rows[i], 4);
}

inline TestActivations random_activations(Activations kind, std::uint32_t columns, std::uint32_t tile,
                                          std::uint32_t tokens, std::uint64_t seed) {
  TestActivations made{.shape = {.kind = kind, .columns = columns, .tile = tile, .max_tokens = tokens}};
  made.bytes.assign(made.shape.bytes(), std::byte{0});
  Random random(seed);
  const std::uint32_t groups = (columns + 31) / 32;
  for (std::uint32_t token = 0; token < tokens; ++token) {
    std::vector<float> row(std::size_t{groups} * 32);
    for (std::uint32_t i = 0; i < columns; ++i) row[i] = random.uniform();
    std::byte* tile_start = made.bytes.data() + token / tile * made.shape.tile_bytes();
    for (std::uint32_t group = 0; group < groups; ++group) {
      if (kind == Activations::Q8) {
        put_q8(made, tile_start + std::size_t{group} * 48 * tile, token % tile, row.data() + std::size_t{group} * 32);
        continue;
      }
      for (std::uint32_t i = 32 * group; i < 32 * group + 32; ++i) {
        std::memcpy(tile_start + 4 * (std::size_t{i} * tile + token % tile), &row[i], 4);
      }
    }
    made.values.insert(made.values.end(), row.begin(), row.begin() + columns);
  }
  return made;
}

/// |weights| . |activations|: what rounding errors are in proportion to.
inline std::vector<double> magnitudes(const FileMatrix& matrix, const TestActivations& activations) {
  const auto positive = [](std::vector<float> values) {
    for (float& value : values) value = std::fabs(value);
    return values;
  };
  return matmul_reference(positive(matrix.values), positive(activations.values), matrix.columns);
}

}  // namespace gguf_fuse::test_support
