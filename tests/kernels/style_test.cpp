// SPDX-License-Identifier: MIT
// A dot product that the driver's compiler does not know: the plain variant computes instead, and the log says so.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "gguf_fuse/kernels/matmul.hpp"
#include "support/opencl_device.hpp"
#include "support/step.hpp"

namespace gguf_fuse::kernels {
namespace {

using support::value_of;

/// 16 rows of 64 ones (Q8_0: scale 1, values 1) times one token of twos.
std::vector<float> product_of_ones(Device& device) {
  const PackedShape shape{.type = find_tensor_type("Q8_0"), .rows = 16, .columns = 64};
  std::vector<std::byte> rows;
  for (int block = 0; block < 32; ++block) {
    rows.insert(rows.end(), {std::byte{0x00}, std::byte{0x3c}});  // 1 in half precision
    rows.insert(rows.end(), 32, std::byte{1});
  }
  std::vector<std::byte> tile(shape.tile_bytes());
  value_of(pack_tile(shape, rows, tile));
  const Matrix matrix{.buffer = support::buffer_of(device, tile), .shape = shape};

  std::vector<std::byte> record(2 * 48);
  for (std::size_t group = 0; group < 2; ++group) {
    std::fill_n(record.begin() + static_cast<std::ptrdiff_t>(group * 48), 32, std::byte{4});
    const float sums[4] = {0.5F, 64, 32, 32};  // scale, and scaled sums of all, of the first and of the last 16
    std::memcpy(record.data() + group * 48 + 32, sums, sizeof sums);
  }
  const Buffer out = support::buffer_of(device, std::vector<float>(16));
  auto operation = value_of(matmul(device, {.tile = 1, .matrices = {matrix}}, support::buffer_of(device, record), out,
                                   support::step_buffer(device, 1)));
  value_of(operation.enqueue({.tokens = 1}));
  return support::content_of<float>(out);
}

TEST(Style, WhatDoesNotBuildFallsBackToThePlainVariant) {
  const DeviceInfo info = support::test_device();
  if (info.packed_dot_product) GTEST_SKIP() << info.name << " has the packed dot product";
  std::string said;
  DeviceOptions options{.dot = DotProduct::KhrInteger, .cache_folder = {}};
  options.log = [&](LogLevel level, std::string_view text) {
    if (level == LogLevel::Warning) said += text;
  };
  const auto device = support::open_device(options);
  EXPECT_EQ(product_of_ones(*device), std::vector<float>(16, 128));
  EXPECT_THAT(said, testing::HasSubstr("plainer variant"));
}

TEST(Style, AllVariantsOfThisDeviceAgree) {
  for (const auto dot : {std::optional<DotProduct>(), std::optional(DotProduct::None)}) {
    for (const Style style : {Style::Vector, Style::Group}) {
      const auto device = support::open_device({.style = style, .dot = dot});
      EXPECT_EQ(product_of_ones(*device), std::vector<float>(16, 128)) << style_name(style);
    }
  }
}

}  // namespace
}  // namespace gguf_fuse::kernels
