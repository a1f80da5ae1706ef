// SPDX-License-Identifier: MIT
#include "gguf_fuse/kernels/launch.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/opencl_device.hpp"

namespace gguf_fuse::kernels {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kSource = R"(
kernel void scale(global const float *in, global float *out, float factor, uint offset) {
  out[get_global_id(0)] = in[get_global_id(0) + offset] * factor;
}
kernel void every_kind(constant int *table, local int *scratch, global long *out, int a, uint b, long c, ulong d,
                       float e) {
  scratch[0] = table[0];
  out[0] = a; out[1] = b; out[2] = c; out[3] = (long)d; out[4] = (long)e; out[5] = scratch[0];
}
kernel void where(global uint *out) {
  const uint at = get_global_id(0) + 4 * (get_global_id(1) + 3 * get_global_id(2));
  out[at] = 1 + get_local_size(0) * 100 + get_local_size(1) * 10 + get_local_size(2) * 1000;
}
__attribute__((reqd_work_group_size(4, 1, 1))) kernel void fixed_group(global uint *out) {
  out[get_global_id(0)] = get_local_size(0);
}
kernel void nothing(void) {}
)";

class LaunchTest : public testing::Test {
 protected:
  std::shared_ptr<Device> device_ = support::open_device();
  std::shared_ptr<Program> program_ =
      support::value_of(device_->program({.file = "launch_test.cl", .source = kSource}));

  void expect_bad(const Result<void>& result, const std::string& text) const {
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().code, ErrorCode::BadLaunch) << text;
    EXPECT_THAT(result.error().message(), HasSubstr(text));
  }
};

TEST_F(LaunchTest, RunsAgainWithWhatWasChanged) {
  const Buffer in = support::buffer_of<float>(*device_, {1, 2, 3, 4, 5});
  const Buffer out = support::buffer_of<float>(*device_, {0, 0, 0, 0});
  auto launch = support::value_of(Launch::make(
      program_, "scale", {{"in", in}, {"out", out}, {"factor", 2.0F}, {"offset", 1U}}, {.global = {4, 1, 1}}));
  ASSERT_TRUE(launch.enqueue());
  EXPECT_THAT(support::content_of<float>(out), ElementsAre(4, 6, 8, 10));
  launch.set("factor", -1.0F).set("offset", 0U).set_grid({.global = {2, 1, 1}, .local = {1, 1, 1}});
  ASSERT_TRUE(launch.enqueue());
  EXPECT_THAT(support::content_of<float>(out), ElementsAre(-1, -2, 8, 10));
}

TEST_F(LaunchTest, EveryKindOfArgumentArrives) {
  const Buffer table = support::buffer_of<std::int32_t>(*device_, {-77});
  const Buffer out = support::buffer_of<std::int64_t>(*device_, std::vector<std::int64_t>(6));
  const auto launch = support::value_of(Launch::make(program_, "every_kind",
                                                     {{"table", table},
                                                      {"scratch", LocalBytes{64}},
                                                      {"out", out},
                                                      {"a", std::int32_t{-1}},
                                                      {"b", std::uint32_t{0xFFFFFFFF}},
                                                      {"c", std::int64_t{-0x123456789AB}},
                                                      {"d", std::uint64_t{0x7FFFFFFFFFFFFFFF}},
                                                      {"e", -8.0F}},
                                                     Grid{}));
  ASSERT_TRUE(launch.enqueue());
  EXPECT_THAT(support::content_of<std::int64_t>(out),
              ElementsAre(-1, 0xFFFFFFFF, -0x123456789AB, 0x7FFFFFFFFFFFFFFF, -8, -77));
}

TEST_F(LaunchTest, GridsOfThreeDimensions) {
  const Buffer out = support::buffer_of<std::uint32_t>(*device_, std::vector<std::uint32_t>(24));
  auto launch =
      support::value_of(Launch::make(program_, "where", {{"out", out}}, {.global = {4, 3, 2}, .local = {2, 3, 1}}));
  ASSERT_TRUE(launch.enqueue());
  EXPECT_EQ(support::content_of<std::uint32_t>(out), std::vector<std::uint32_t>(24, 1 + 200 + 30 + 1000));
  // A last dimension alone counts as well.
  ASSERT_TRUE(out.fill(std::byte{0}));
  launch.set_grid({.global = {1, 1, 2}, .local = {1, 1, 2}});
  ASSERT_TRUE(launch.enqueue());
  std::vector<std::uint32_t> expected(24);
  expected[0] = expected[12] = 1 + 100 + 10 + 2000;
  EXPECT_EQ(support::content_of<std::uint32_t>(out), expected);
}

TEST_F(LaunchTest, NoWorkItemsIsNothingToDo) {
  const Buffer out = support::buffer_of<std::uint32_t>(*device_, {7});
  const auto launch = support::value_of(Launch::make(program_, "where", {{"out", out}}, {.global = {0, 1, 1}}));
  ASSERT_TRUE(launch.enqueue());
  EXPECT_THAT(support::content_of<std::uint32_t>(out), ElementsAre(7));
}

TEST_F(LaunchTest, ARequiredGroupIsFilledInAndEnforced) {
  const Buffer out = support::buffer_of<std::uint32_t>(*device_, std::vector<std::uint32_t>(8));
  auto launch = support::value_of(Launch::make(program_, "fixed_group", {{"out", out}}, {.global = {8, 1, 1}}));
  ASSERT_TRUE(launch.enqueue());
  EXPECT_EQ(support::content_of<std::uint32_t>(out), std::vector<std::uint32_t>(8, 4));
  launch.set_grid({.global = {8, 1, 1}, .local = {8, 1, 1}});
  expect_bad(launch.check(), "work-groups of 4 x 1 x 1");
}

TEST_F(LaunchTest, WrongArgumentsAreNamed) {
  const Buffer buffer = support::buffer_of<float>(*device_, {1});
  const auto scale = [&](std::string_view name, ArgumentValue value) {
    auto launch = support::value_of(Launch::make(program_, "scale"));
    launch.set("in", buffer).set("out", buffer).set("factor", 1.0F).set("offset", 0U).set_grid({});
    EXPECT_TRUE(launch.check());
    return launch.set(name, std::move(value)).check();
  };
  expect_bad(scale("offset", std::int32_t{1}), "\"offset\"");
  expect_bad(scale("offset", std::int32_t{1}), "expected a uint, found an int");
  expect_bad(scale("offset", std::uint64_t{1}), "expected a uint, found a ulong");
  expect_bad(scale("factor", std::uint32_t{1}), "expected a float, found a uint");
  expect_bad(scale("factor", buffer), "expected a float, found a buffer");
  expect_bad(scale("in", LocalBytes{4}), "expected a buffer, found local memory");
  expect_bad(scale("in", 1.0F), "expected a buffer, found a float");
  expect_bad(scale("in", Buffer()), "expected a buffer of this device, found none");
  expect_bad(scale("weights", buffer), "\"weights\"");
  const auto other = support::open_device();
  expect_bad(scale("in", support::buffer_of<float>(*other, {1})), "a buffer of this device");
}

TEST_F(LaunchTest, MissingArgumentsAndTheFirstErrorStay) {
  const Buffer buffer = support::buffer_of<float>(*device_, {1});
  auto launch = support::value_of(Launch::make(program_, "scale"));
  launch.set("in", buffer).set("factor", 1.0F).set("offset", 0U);
  expect_bad(launch.enqueue(), "\"out\": a kernel was given other arguments than it declares: expected a buffer");
  launch.set("out", buffer);
  EXPECT_TRUE(launch.enqueue());
  launch.set("first", 1U).set("second", 1U);
  expect_bad(launch.enqueue(), "\"first\"");
}

TEST_F(LaunchTest, BadGridsAreRefused) {
  const Buffer out = support::buffer_of<std::uint32_t>(*device_, std::vector<std::uint32_t>(24));
  const std::size_t limit = device_->info().max_work_group;
  const auto check = [&](Grid grid) {
    auto launch = support::value_of(Launch::make(program_, "where"));
    return launch.set("out", out).set_grid(grid).check();
  };
  expect_bad(check({.global = {4, 1, 1}, .local = {3, 1, 1}}), "4 x 1 x 1 in groups of 3 x 1 x 1");
  expect_bad(check({.global = {4, 1, 1}, .local = {4, 0, 1}}), "without work-items");
  expect_bad(check({.global = {limit, 2, 1}, .local = {limit, 2, 1}}), "a work-group of");
  const std::size_t huge = std::size_t{1} << 63;
  expect_bad(check({.global = {huge, huge, 1}, .local = {huge, huge, 1}}), "a work-group of");
}

TEST_F(LaunchTest, UnknownKernelsAreNamedWithTheKnown) {
  const auto launch = Launch::make(program_, "scales");
  ASSERT_FALSE(launch);
  EXPECT_EQ(launch.error().code, ErrorCode::BadLaunch);
  EXPECT_THAT(launch.error().message(), HasSubstr("every_kind"));
}

TEST_F(LaunchTest, KeepsItsBuffersAndProgramAlive) {
  Buffer in = support::buffer_of<float>(*device_, {3});
  const Buffer out = support::buffer_of<float>(*device_, {0});
  const auto launch = support::value_of(
      Launch::make(program_, "scale", {{"in", in}, {"out", out}, {"factor", 2.0F}, {"offset", 0U}}, Grid{}));
  in = Buffer();
  program_.reset();
  device_.reset();
  ASSERT_TRUE(launch.enqueue());
  EXPECT_THAT(support::content_of<float>(out), ElementsAre(6));
}

TEST_F(LaunchTest, TwoLaunchesOfAKernelHaveArgumentsOfTheirOwn) {
  const Buffer in = support::buffer_of<float>(*device_, {1});
  const Buffer a = support::buffer_of<float>(*device_, {0});
  const Buffer b = support::buffer_of<float>(*device_, {0});
  const auto make = [&](const Buffer& out, float factor) {
    return support::value_of(
        Launch::make(program_, "scale", {{"in", in}, {"out", out}, {"factor", factor}, {"offset", 0U}}, Grid{}));
  };
  const Launch first = make(a, 2.0F);
  const Launch second = make(b, 3.0F);
  ASSERT_TRUE(first.enqueue());
  ASSERT_TRUE(second.enqueue());
  EXPECT_THAT(support::content_of<float>(a), ElementsAre(2));
  EXPECT_THAT(support::content_of<float>(b), ElementsAre(3));
}

TEST(LaunchTimings, CountByKernel) {
  const auto device = support::open_device({.cache_folder = {}, .profiling = true});
  const auto program = support::value_of(device->program({.file = "launch_test.cl", .source = kSource}));
  const auto nothing = support::value_of(Launch::make(program, "nothing", {}, Grid{}));
  const auto again = support::value_of(Launch::make(program, "nothing", {}, Grid{}));
  // More than are kept before they are read.
  for (int i = 0; i < 5000; ++i) ASSERT_TRUE((i % 2 == 0 ? nothing : again).enqueue());
  static_cast<void>(support::value_of(Launch::make(program, "where")));
  const auto timings = support::value_of(device->timings());
  ASSERT_EQ(timings.size(), 1U);
  EXPECT_EQ(timings[0].kernel, "nothing");
  EXPECT_EQ(timings[0].launches, 5000U);

  const auto plain = support::open_device();
  EXPECT_TRUE(support::value_of(plain->timings()).empty());
}

}  // namespace
}  // namespace gguf_fuse::kernels
