// SPDX-License-Identifier: MIT
// Matrices of heads: each block of rows meets the columns of its own head.
#include <gmock/gmock.h>

#include "matmul_fixture.hpp"

namespace gguf_fuse::kernels {
namespace {

using support::value_of;
using support::Variant;

class MatmulHeads : public testing::TestWithParam<Variant> {
 protected:
  void SetUp() override {
    if (!support::can_run(GetParam())) GTEST_SKIP() << "not on this device";
  }

  static void expect(const char* type, Activations kind, std::uint32_t tile, std::uint32_t heads,
                     std::uint32_t head_rows, std::uint32_t columns) {
    const auto device = support::shared_device(GetParam().style, GetParam().dot);
    const std::uint32_t tokens = tile == 1 ? 1 : 18;
    const support::FileMatrix file = support::random_matrix(type, heads * head_rows, columns, heads);
    const support::TestActivations x = support::random_activations(kind, heads * columns, tile, tokens, 5);
    const Buffer out = support::buffer_of(*device, std::vector<float>(std::size_t{tokens} * file.rows));
    const MatmulShape shape{
        .kind = kind, .tile = tile, .matrices = {support::upload(*device, file)}, .factor = 2, .heads = heads};
    value_of(value_of(matmul(*device, shape, support::buffer_of(*device, x.bytes), out,
                             support::step_buffer(*device, tokens)))
                 .enqueue({.tokens = tokens}));
    const auto got = support::content_of<float>(out);
    for (std::size_t token = 0; token < tokens; ++token) {
      for (std::size_t row = 0; row < file.rows; ++row) {
        const float* values = x.values.data() + (token * heads + row / head_rows) * columns;
        double sum = 0;
        double magnitude = 0;
        for (std::size_t i = 0; i < columns; ++i) {
          const double product = double{file.values[row * columns + i]} * double{values[i]};
          sum += product;
          magnitude += std::fabs(product);
        }
        ASSERT_NEAR(double{got[token * file.rows + row]}, 2 * sum, 2e-5 * magnitude)
            << type << " row " << row << " token " << token;
      }
    }
  }
};

/// 80 rows a head: no multiple of what a work-group takes.
TEST_P(MatmulHeads, MeetTheirOwnColumns) {
  for (const std::uint32_t tile : {1U, kBatchTile}) {
    expect("Q8_0", Activations::Q8, tile, 3, 80, 64);
    expect("Q8_0", Activations::Q8, tile, 5, 16, 32);
    expect("Q8_0", Activations::Q8, tile, 2, 64, 96);
  }
}

TEST_P(MatmulHeads, MeetTheirOwnFloatColumns) {
  if (GetParam().dot != DotProduct::None) GTEST_SKIP() << "as with another dot product";
  for (const std::uint32_t tile : {1U, kBatchTile}) expect("F32", Activations::F32, tile, 3, 48, 64);
}

INSTANTIATE_TEST_SUITE_P(Variants, MatmulHeads, testing::ValuesIn(support::kVariants), support::variant_test_name);

}  // namespace
}  // namespace gguf_fuse::kernels
