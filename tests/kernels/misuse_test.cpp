// SPDX-License-Identifier: MIT
// Calls that an embedder gets wrong: values, not crashes; and a driver that broke off.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <filesystem>

#include "gguf_fuse/kernels/driver.hpp"
#include "gguf_fuse/kernels/launch.hpp"
#include "gguf_fuse/kernels/upload.hpp"
#include "support/opencl_device.hpp"
#include "support/temp_dir.hpp"

namespace gguf_fuse::kernels {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kSource = "kernel void one(global int *out, int value) { out[get_global_id(0)] = value; }\n";

TEST(Misuse, NoDevice) {
  EXPECT_EQ(Device::open(DeviceInfo{}).error().code, ErrorCode::InvalidArgument);
  DeviceInfo info = support::test_device();
  info.device_id = nullptr;
  EXPECT_EQ(Device::open(info).error().code, ErrorCode::InvalidArgument);
}

TEST(Misuse, NoProgramAndMovedLaunches) {
  EXPECT_EQ(Launch::make(nullptr, "one").error().code, ErrorCode::InvalidArgument);
  const auto device = support::open_device({.dot = DotProduct::None, .cache_folder = {}});
  const auto program = support::value_of(device->program({.file = "one.cl", .source = kSource}));
  Launch launch = support::value_of(Launch::make(program, "one"));
  const Launch other = std::move(launch);
  launch.set("value", std::int32_t{1}).set_grid(Grid{});  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(launch.check().error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(launch.enqueue().error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(launch.signature().kernel, "");
  EXPECT_EQ(other.signature().kernel, "one");
}

TEST(Misuse, NoBuffers) {
  const Buffer none;
  std::array<std::byte, 4> bytes{};
  EXPECT_EQ(none.bytes(), 0U);
  EXPECT_EQ(none.write(bytes).error().code, ErrorCode::BadLaunch);
  EXPECT_EQ(none.read(bytes).error().code, ErrorCode::BadLaunch);
  EXPECT_EQ(none.fill(std::byte{1}).error().code, ErrorCode::BadLaunch);
  EXPECT_EQ(none.map(MapAccess::Read).error().code, ErrorCode::BadLaunch);
}

TEST(Misuse, SlotsThatWereGivenAway) {
  const auto device = support::open_device({.dot = DotProduct::None, .cache_folder = {}});
  const auto uploader = support::value_of(Uploader::make(*device, 1, 64));
  Uploader::Slot slot = support::value_of(uploader->take());
  ASSERT_TRUE(uploader->send(std::move(slot), {}, "first"));
  EXPECT_TRUE(slot.bytes().empty());  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(uploader->send(std::move(slot), {}, "second").error().code, ErrorCode::InvalidArgument);
  const Buffer buffer = support::value_of(device->allocate(64));
  const UploadWrite huge{
      .buffer = buffer, .bytes = std::uint64_t{1} << 33, .count = std::uint64_t{1} << 33, .stride = 0};
  EXPECT_FALSE(uploader->send(support::value_of(uploader->take()), {{huge}}, "more than 64 bits"));
}

std::string lost_call;

// The exception becomes a code, the driver is left alone for good, and the program is told.
TEST(DriverLost, IsACodeAndTheDriverIsLeftAlone) {
  const support::TempDir folder;
  // A name of its own: what is lost stays lost, and the other tests use the library too.
  const std::string name = folder.file("libfaults.so");
  std::filesystem::create_symlink(support::program_folder() / "libgguf_fuse_opencl_faults.so", name);
  const support::ScopedVariable library("GGUF_FUSE_OPENCL_LIBRARY", name);
  const auto device = support::open_device({.dot = DotProduct::None, .cache_folder = {}});
  const Buffer buffer = support::buffer_of<std::int32_t>(*device, {1});
  on_driver_lost([](const char* call, const char* reason) noexcept { lost_call = std::string(call) + ": " + reason; });
  {
    const support::ScopedVariable fault("GGUF_FUSE_OPENCL_FAULT", "clBuildProgram=throw,clReleaseProgram=abort");
    const auto program = device->program({.file = "one.cl", .source = kSource});
    ASSERT_FALSE(program);
    EXPECT_EQ(program.error().code, ErrorCode::OpenClFailed);
    EXPECT_THAT(program.error().message(), HasSubstr("clBuildProgram: CL_OUT_OF_HOST_MEMORY (-6)"));
    EXPECT_THAT(program.error().message(), HasSubstr("ulimit -v"));
  }
  on_driver_lost(nullptr);
  EXPECT_EQ(lost_call, "clBuildProgram: std::bad_alloc");
  EXPECT_EQ(driver_call(), nullptr);
  // The fault has gone; the driver is not asked all the same.
  EXPECT_THAT(device->finish().error().message(), HasSubstr("cannot be used any more"));
  EXPECT_THAT(device->allocate(4).error().message(), HasSubstr("CL_OUT_OF_HOST_MEMORY"));
}

TEST(ComputeUnits, AreLimitedOnCpus) {
  const DeviceInfo info = support::test_device();
  if (info.type != DeviceType::Cpu || info.compute_units < 2) GTEST_SKIP() << "one unit, or no CPU";
  const support::TempDir folder;
  std::vector<std::string> log;
  const auto open = [&](unsigned units) {
    return support::open_device({.dot = DotProduct::None,
                                 .cache_folder = folder.path().string(),
                                 .log = [&](LogLevel, std::string_view text) { log.emplace_back(text); },
                                 .compute_units = units});
  };
  const auto run = [&](Device& device) {
    const auto program = support::value_of(device.program({.file = "one.cl", .source = kSource}));
    const Buffer out = support::buffer_of<std::int32_t>(device, {0, 0, 0});
    const auto launch = support::value_of(
        Launch::make(program, "one", {{"out", out}, {"value", std::int32_t{3}}}, Grid{.global = {3, 1, 1}}));
    EXPECT_TRUE(launch.enqueue());
    EXPECT_THAT(support::content_of<std::int32_t>(out), ElementsAre(3, 3, 3));
    return program->from_cache();
  };
  const auto whole = open(0);
  EXPECT_EQ(whole->profile().compute_units, info.compute_units);
  EXPECT_FALSE(run(*whole));
  whole->save_programs();
  const auto one = open(1);
  if (one->info().compute_units == info.compute_units) {
    EXPECT_THAT(log, testing::Contains(HasSubstr("clCreateSubDevices")));
    GTEST_SKIP() << "the driver divides nothing";
  }
  EXPECT_EQ(one->info().compute_units, 1U);
  EXPECT_EQ(one->profile().compute_units, 1U);
  EXPECT_FALSE(run(*one));  // a program of its own in the cache
  one->save_programs();
  EXPECT_TRUE(run(*open(1)));
  EXPECT_TRUE(run(*open(0)));
}

}  // namespace
}  // namespace gguf_fuse::kernels
