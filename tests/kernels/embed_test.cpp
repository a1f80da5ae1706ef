// SPDX-License-Identifier: MIT
// That every type is read right is DecodeOnDevice's to test; here is which rows go where.
#include <gmock/gmock.h>

#include "matmul_fixture.hpp"

namespace gguf_fuse::kernels {
namespace {

using support::value_of;

class Embed : public testing::TestWithParam<support::Variant> {};

TEST_P(Embed, TakesRowsTimesAFactorAndNoMoreThanAsked) {
  // More groups than one work-item takes, and not a multiple of them.
  const support::FileMatrix file = support::random_matrix("Q8_0", 50, 608, 1);
  const std::shared_ptr<Device> device = support::shared_device(GetParam().style, GetParam().dot);
  const std::vector<std::int32_t> tokens = {49, 0, 17, 17, 15, 16, 3};
  constexpr std::uint32_t kAsked = 6;
  const std::vector<float> before(tokens.size() * file.columns, -7.0F);
  const Buffer out = support::buffer_of(*device, before);
  Operation operation =
      value_of(embed(*device, support::upload(*device, file, 128), 0.25F, support::buffer_of(*device, tokens), out,
                     support::step_buffer(*device, kAsked)));
  // A grid larger than the step happens when a launch is recorded for the most that can come.
  ASSERT_TRUE(operation.enqueue({.tokens = static_cast<std::uint32_t>(tokens.size())}));
  const std::vector<float> got = support::content_of<float>(out);
  std::vector<float> want = embed_reference(file.values, file.columns, 0.25F, std::span(tokens).first(kAsked));
  want.resize(before.size(), -7.0F);
  for (std::size_t i = 0; i < want.size(); ++i) {
    ASSERT_NEAR(got[i], want[i], 1e-5F * std::fabs(want[i]))
        << "token " << i / file.columns << " column " << i % file.columns;
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, Embed,
                         testing::Values(support::Variant{Style::Vector, DotProduct::None},
                                         support::Variant{Style::Group, DotProduct::None}),
                         support::variant_test_name);

TEST(EmbedErrors, RefusesBuffersThatAreTooSmall) {
  const std::shared_ptr<Device> device = support::open_device();
  const Matrix table = support::upload(*device, support::random_matrix("Q8_0", 16, 64, 1));
  const Buffer step = support::step_buffer(*device, 1);
  const Buffer row = value_of(device->allocate(64 * sizeof(float)));
  const Buffer small = value_of(device->allocate(63 * sizeof(float)));
  EXPECT_TRUE(embed(*device, table, 1, step, row, step));
  EXPECT_EQ(embed(*device, table, 1, step, small, step).error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(embed(*device, table, 1, Buffer{}, row, step).error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(embed(*device, table, 1, step, row, Buffer{}).error().code, ErrorCode::InvalidArgument);
}

}  // namespace
}  // namespace gguf_fuse::kernels
