// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "support/opencl_device.hpp"

namespace gguf_fuse::kernels {
namespace {

using Bytes = std::vector<std::byte>;
using testing::HasSubstr;

Bytes counted(std::size_t count) {
  Bytes bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>(i * 7 + 1);
  return bytes;
}

TEST(DeviceBuffer, KeepsWhatIsWrittenAtAnyOffset) {
  const auto device = support::open_device();
  for (const std::size_t size : {1U, 3U, 127U, 4096U, 100003U}) {
    const Bytes all = counted(size);
    const Buffer buffer = support::buffer_of(*device, all);
    EXPECT_EQ(buffer.bytes(), size);
    EXPECT_EQ(support::content_of<std::byte>(buffer), all);
    // The last byte alone.
    const Bytes one{std::byte{0xAB}};
    ASSERT_TRUE(buffer.write_later(one, size - 1));
    Bytes last(1);
    ASSERT_TRUE(buffer.read_later(last, size - 1));
    ASSERT_TRUE(device->finish());
    EXPECT_EQ(last, one);
    Bytes front(size - 1);
    ASSERT_TRUE(buffer.read(front));
    EXPECT_TRUE(std::equal(front.begin(), front.end(), all.begin()));
  }
}

TEST(DeviceBuffer, FillStopsWhereItShould) {
  const auto device = support::open_device();
  const Buffer buffer = support::buffer_of(*device, counted(1000));
  ASSERT_TRUE(buffer.fill(std::byte{9}, 3, 501));
  Bytes expected = counted(1000);
  std::fill_n(expected.begin() + 3, 501, std::byte{9});
  EXPECT_EQ(support::content_of<std::byte>(buffer), expected);
  ASSERT_TRUE(buffer.fill(std::byte{1}, 999));
  expected.back() = std::byte{1};
  EXPECT_EQ(support::content_of<std::byte>(buffer), expected);
  ASSERT_TRUE(buffer.fill(std::byte{0}, 1000));
  EXPECT_EQ(support::content_of<std::byte>(buffer), expected);
  ASSERT_TRUE(buffer.fill(std::byte{0}));
  EXPECT_EQ(support::content_of<std::byte>(buffer), Bytes(1000));
}

TEST(DeviceBuffer, MapShowsAndChangesTheBytes) {
  const auto device = support::open_device();
  const Buffer buffer = support::buffer_of(*device, counted(300));
  {
    auto mapping = buffer.map(MapAccess::ReadWrite, 100, 50);
    ASSERT_TRUE(mapping);
    ASSERT_EQ(mapping->bytes().size(), 50U);
    EXPECT_EQ(mapping->bytes()[0], counted(300)[100]);
    mapping->bytes()[49] = std::byte{0xFF};
    EXPECT_TRUE(mapping->unmap());
    EXPECT_TRUE(mapping->bytes().empty());
    EXPECT_TRUE(mapping->unmap());
  }
  { ASSERT_EQ(buffer.map(MapAccess::Read)->bytes().size(), 300U); }  // the destructor unmaps
  {
    auto whole = support::value_of(buffer.map(MapAccess::Write));
    Mapping moved = std::move(whole);
    std::fill(moved.bytes().begin(), moved.bytes().end(), std::byte{5});
  }
  EXPECT_EQ(support::content_of<std::byte>(buffer), Bytes(300, std::byte{5}));
}

TEST(DeviceBuffer, OnACpuMapIsTheBufferItself) {
  const auto device = support::open_device();
  if (!device->profile().host_memory) GTEST_SKIP() << device->info().name << " has memory of its own";
  const Buffer buffer = support::value_of(device->allocate(1 << 20));
  const auto* first = support::value_of(buffer.map(MapAccess::Read)).bytes().data();
  EXPECT_EQ(support::value_of(buffer.map(MapAccess::Read)).bytes().data(), first);
  EXPECT_EQ(support::value_of(buffer.map(MapAccess::Read, 4096)).bytes().data(), first + 4096);
}

TEST(DeviceBuffer, RangesOutsideAreRefused) {
  const auto device = support::open_device();
  const Buffer buffer = support::value_of(device->allocate(100));
  Bytes room(101);
  const Result<void> refused[] = {
      buffer.write(room),
      buffer.write_later(std::span(room).first(1), 100),
      buffer.read(std::span(room).first(51), 50),
      buffer.read_later(std::span(room).first(1), ~std::uint64_t{0}),
      buffer.fill(std::byte{0}, 101),
      buffer.fill(std::byte{0}, 50, 51),
      buffer.fill(std::byte{0}, 2, ~std::uint64_t{0} - 1),
      Buffer().write(std::span(room).first(1)),
      Buffer().fill(std::byte{0}),
  };
  for (const auto& result : refused) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::BadLaunch);
  }
  EXPECT_EQ(buffer.map(MapAccess::Read, 1, 100).error().code, ErrorCode::BadLaunch);
  EXPECT_THAT(refused[0].error().message(), HasSubstr("101 bytes at byte 0"));
  EXPECT_FALSE(Buffer());
}

TEST(DeviceBuffer, EmptyOnesAreFine) {
  const auto device = support::open_device();
  const Buffer buffer = support::value_of(device->allocate(0));
  EXPECT_TRUE(buffer);
  EXPECT_EQ(buffer.bytes(), 0U);
  EXPECT_TRUE(buffer.write({}));
  EXPECT_TRUE(buffer.fill(std::byte{1}));
  EXPECT_TRUE(buffer.map(MapAccess::Read)->bytes().empty());
}

TEST(DeviceBuffer, MemoryIsCountedOnceForAllHandlesAndDevices) {
  const auto device = support::open_device();
  const auto again = support::open_device();
  const std::uint64_t before = device->allocated_bytes();
  {
    const Buffer one = support::value_of(device->allocate(1000, Access::ReadOnly));
    const Buffer copy = one;
    const Buffer two = support::value_of(again->allocate(234, Access::WriteOnly));
    EXPECT_EQ(device->allocated_bytes(), before + 1234);
    EXPECT_EQ(again->allocated_bytes(), before + 1234);
  }
  EXPECT_EQ(device->allocated_bytes(), before);
}

TEST(DeviceBuffer, OutlivesItsDevice) {
  auto device = support::open_device();
  const Buffer buffer = support::buffer_of(*device, counted(64));
  device.reset();
  EXPECT_EQ(support::content_of<std::byte>(buffer), counted(64));
}

TEST(DeviceBuffer, TooMuchIsRefusedBeforeTheDriverIsAsked) {
  DeviceInfo info = support::test_device();
  info.max_buffer_bytes = 1000;
  info.global_bytes = 1500;
  const auto device = support::value_of(Device::open(info, {.cache_folder = {}}));
  const std::uint64_t before = device->allocated_bytes();
  ASSERT_EQ(before, 0U);
  const auto large = device->allocate(1001);
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, ErrorCode::BufferTooLarge);
  EXPECT_THAT(large.error().message(), HasSubstr("expected at most 1000 bytes, found 1001"));
  const auto first = device->allocate(1000);
  ASSERT_TRUE(first);
  const auto second = device->allocate(501);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::OutOfDeviceMemory);
  EXPECT_THAT(second.error().message(), HasSubstr("expected 501 bytes, found 500 bytes free of 1500"));
  EXPECT_THAT(second.error().message(), HasSubstr("-ts"));
  EXPECT_EQ(device->allocated_bytes(), 1000U);
  EXPECT_TRUE(device->allocate(500));
  EXPECT_EQ(device->allocate(~std::uint64_t{0}).error().code, ErrorCode::BufferTooLarge);
}

}  // namespace
}  // namespace gguf_fuse::kernels
