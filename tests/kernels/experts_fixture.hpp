// SPDX-License-Identifier: MIT
#pragma once

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "gguf_fuse/kernels/experts.hpp"
#include "matmul_fixture.hpp"

namespace gguf_fuse::test_support {

/// One matrix an expert.
struct ExpertFiles {
  std::vector<FileMatrix> experts{};

  [[nodiscard]] std::uint32_t rows() const { return experts[0].rows; }
  [[nodiscard]] PackedShape shape() const {
    return {.type = experts[0].type, .rows = experts[0].rows, .columns = experts[0].columns};
  }
  /// Bytes of one, up to a multiple of 64.
  [[nodiscard]] std::uint64_t stride() const { return (shape().bytes() + 63) / 64 * 64; }
};

/// BF16 of moderate size, where the reference files have every exponent: products of three would overflow.
inline FileMatrix moderate_bf16(std::uint32_t rows, std::uint32_t columns, std::uint64_t seed) {
  FileMatrix matrix = random_matrix("F32", rows, columns, seed);
  matrix.type = find_tensor_type("BF16");
  for (std::size_t i = 0; i < matrix.values.size(); ++i) {
    std::copy_n(matrix.bytes.begin() + static_cast<std::ptrdiff_t>(4 * i + 2), 2,
                matrix.bytes.begin() + static_cast<std::ptrdiff_t>(2 * i));
  }
  matrix.bytes.resize(2 * matrix.values.size());
  value_of(decode_row_reference(*matrix.type, matrix.bytes, matrix.values));
  return matrix;
}

inline ExpertFiles random_experts(std::string_view type, std::uint32_t experts, std::uint32_t rows,
                                  std::uint32_t columns, std::uint64_t seed) {
  ExpertFiles files;
  for (std::uint32_t i = 0; i < experts; ++i) {
    files.experts.push_back(type == "BF16" ? moderate_bf16(rows, columns, seed + i)
                                           : random_matrix(type, rows, columns, seed + i));
  }
  return files;
}

/// Where each expert of a matrix lies: `offset` bytes behind the start, `stride` bytes from one to the next.
inline void pack_experts(const ExpertFiles& files, std::uint32_t first, std::uint32_t count, std::uint64_t offset,
                         std::uint64_t stride, std::vector<std::byte>& out) {
  const PackedShape shape = files.shape();
  for (std::uint32_t i = 0; i < count; ++i) {
    for (std::uint32_t tile = 0; tile < shape.tiles(); ++tile) {
      pack_tile_of(files.experts[first + i], tile,
                   std::span(out).subspan(offset + i * stride + tile * shape.tile_bytes(), shape.tile_bytes()));
    }
  }
}

/// In buffers of at most `part` experts, each with some bytes before its first one.
inline ExpertMatrix upload_experts(const Device& device, const ExpertFiles& files, std::uint32_t part) {
  ExpertMatrix matrix{.shape = files.shape()};
  const auto experts = static_cast<std::uint32_t>(files.experts.size());
  for (std::uint32_t first = 0; first < experts; first += part) {
    const std::uint64_t offset = 64 * (1 + std::uint64_t{first});
    const std::uint32_t count = std::min(part, experts - first);
    std::vector<std::byte> bytes(offset + (count - 1) * files.stride() + matrix.shape.bytes(), std::byte{0x5a});
    pack_experts(files, first, count, offset, files.stride(), bytes);
    matrix.parts.push_back({.buffer = buffer_of(device, bytes),
                            .offset = offset,
                            .stride = files.stride(),
                            .first = first,
                            .count = count});
  }
  return matrix;
}

/// Gate and up of each expert side by side in one buffer, as fused tensors are.
inline std::pair<ExpertMatrix, ExpertMatrix> upload_fused(const Device& device, const ExpertFiles& gate,
                                                          const ExpertFiles& up) {
  const auto count = static_cast<std::uint32_t>(gate.experts.size());
  const std::uint64_t stride = gate.stride() + up.stride();
  std::vector<std::byte> bytes(stride * count, std::byte{0x5a});
  pack_experts(gate, 0, count, 0, stride, bytes);
  pack_experts(up, 0, count, gate.stride(), stride, bytes);
  const Buffer buffer = buffer_of(device, bytes);
  const auto matrix = [&](const ExpertFiles& files, std::uint64_t offset) {
    return ExpertMatrix{.shape = files.shape(),
                        .parts = {{.buffer = buffer, .offset = offset, .stride = stride, .first = 0, .count = count}}};
  };
  return {matrix(gate, 0), matrix(up, gate.stride())};
}

inline std::vector<float> random_floats(std::size_t count, float most, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> values(count);
  for (float& value : values) value = most * random.uniform();
  return values;
}

/// A routing made on the device, and the same on the host.
struct TestRouting {
  Routing routing{};
  std::uint32_t tokens = 0;
  Buffer step{};
  std::vector<std::uint32_t> experts{};
  std::vector<float> weights{};
  std::vector<std::uint32_t> slots{};
};

/// `logits` for each token; random ones when empty. There is room for three more tokens than there are.
inline TestRouting make_routing(Device& device, const RouterShape& shape, std::uint32_t tile, std::uint32_t tokens,
                                std::vector<float> logits = {}, bool weigh_input = false) {
  const std::uint32_t most = tile == 1 ? 1 : tokens + 3;
  TestRouting made{.tokens = tokens, .step = step_buffer(device, tokens)};
  made.routing = value_of(allocate_routing(
      device,
      {.experts = shape.experts, .used = shape.used, .tile = tile, .max_tokens = most, .weigh_input = weigh_input}));
  if (logits.empty()) logits = random_floats(std::size_t{most} * shape.experts, 3, tokens);
  logits.resize(std::size_t{most} * shape.experts);
  value_of(value_of(route(device, shape, {.logits = buffer_of(device, logits)}, made.routing, made.step))
               .enqueue({.tokens = tokens}));
  made.experts = content_of<std::uint32_t>(made.routing.experts);
  made.weights = content_of<float>(made.routing.weights);
  made.slots = content_of<std::uint32_t>(made.routing.slots);
  return made;
}

/// Product of one expert's rows with one row of activations, and what its rounding errors are in proportion to.
struct RowProduct {
  std::vector<double> sums{};
  std::vector<double> magnitudes{};
};
inline RowProduct row_product(const FileMatrix& expert, std::span<const float> row) {
  RowProduct product{.sums = matmul_reference(expert.values, row, expert.columns)};
  for (std::uint32_t i = 0; i < expert.rows; ++i) {
    double sum = 0;
    for (std::uint32_t j = 0; j < expert.columns; ++j) {
      sum += std::fabs(double{expert.values[std::size_t{i} * expert.columns + j]} * double{row[j]});
    }
    product.magnitudes.push_back(sum);
  }
  return product;
}

}  // namespace gguf_fuse::test_support
