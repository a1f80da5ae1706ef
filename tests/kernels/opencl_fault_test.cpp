// SPDX-License-Identifier: MIT
// Calls that fail: each becomes an error value that names the call, the code and the device.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gguf_fuse/kernels/launch.hpp"
#include "support/file_util.hpp"
#include "support/opencl_device.hpp"
#include "support/temp_dir.hpp"

namespace gguf_fuse::kernels {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kSource = "kernel void one(global int *out, int value) { out[0] = value; }\n";

// Without a probe, which would fail as well and be logged.
const DeviceOptions kOptions{.dot = DotProduct::None, .cache_folder = {}};

class OpenClFaultTest : public testing::Test {
 protected:
  static support::ScopedVariable fault(const std::string& what) { return {"GGUF_FUSE_OPENCL_FAULT", what}; }

  template <typename T>
  void expect_failure(const Result<T>& result, ErrorCode code, std::initializer_list<std::string> texts) const {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, code) << result.error().message();
    for (const std::string& text : texts) EXPECT_THAT(result.error().message(), HasSubstr(text));
  }

  support::ScopedVariable library_{"GGUF_FUSE_OPENCL_LIBRARY",
                                   (support::program_folder() / "libgguf_fuse_opencl_faults.so").string()};
  const DeviceInfo info_ = support::test_device();
};

TEST_F(OpenClFaultTest, NoPlatformsAndNoDevices) {
  const support::ScopedVariable devices("POCL_DEVICES", "");  // which would be the advice otherwise
  for (const std::string what : {"clGetPlatformIDs=-1001", "clGetDeviceIDs=-1"}) {
    const auto set = fault(what);
    expect_failure(list_devices(), ErrorCode::NoDevice, {"pocl-opencl-icd"});
  }
  {
    const auto set = fault("clGetPlatformIDs=-6");
    expect_failure(list_devices(), ErrorCode::OpenClFailed, {"clGetPlatformIDs: CL_OUT_OF_HOST_MEMORY (-6)"});
  }
  const auto set = fault("clGetDeviceIDs=-33");
  expect_failure(list_devices(), ErrorCode::OpenClFailed, {"clGetDeviceIDs: CL_INVALID_DEVICE (-33)"});
}

TEST_F(OpenClFaultTest, ADeviceThatCannotBeOpened) {
  const auto set = fault("clCreateContext=-2");
  expect_failure(Device::open(info_, kOptions), ErrorCode::OpenClFailed,
                 {info_.name, "clCreateContext: CL_DEVICE_NOT_AVAILABLE (-2)"});
}

TEST_F(OpenClFaultTest, MemoryThatTheDriverDoesNotHave) {
  const auto device = support::value_of(Device::open(info_, kOptions));
  const std::uint64_t before = device->allocated_bytes();
  for (const std::string code : {"-4", "-5", "-6"}) {
    const auto set = fault("clCreateBuffer=" + code);
    expect_failure(device->allocate(1234), ErrorCode::OutOfDeviceMemory,
                   {info_.name, "expected 1234 bytes", "clCreateBuffer: CL_", "(" + code + ")", "-ctk q8_0"});
  }
  const auto set = fault("clCreateBuffer=-34");
  expect_failure(device->allocate(1234), ErrorCode::OpenClFailed, {"clCreateBuffer: CL_INVALID_CONTEXT (-34)"});
  EXPECT_EQ(device->allocated_bytes(), before);
}

// Large pages of ours are a way to be faster: a driver that does not want them gives its own memory.
TEST_F(OpenClFaultTest, MemoryOfOursThatTheDriverRefuses) {
  const auto device = support::value_of(Device::open(info_, kOptions));
  if (!device->profile().host_memory) GTEST_SKIP() << "the device has memory of its own";
  for (const std::string code : {"-37", "-61", "-4", "-34"}) {
    const auto set = fault("clCreateBuffer.host=" + code);
    const Buffer buffer = support::value_of(device->allocate(std::uint64_t{4} << 20));
    const std::vector<std::byte> written(100, std::byte{7});
    ASSERT_TRUE(buffer.write(written, 1'000'000));
    std::vector<std::byte> read(100);
    ASSERT_TRUE(buffer.read(read, 1'000'000));
    EXPECT_EQ(read, written);
  }
}

TEST_F(OpenClFaultTest, TransfersThatFail) {
  const auto device = support::value_of(Device::open(info_, kOptions));
  const Buffer buffer = support::buffer_of<int>(*device, {1, 2});
  std::vector<std::byte> bytes(8);
  const auto set = fault("clEnqueueReadBuffer=-5,clEnqueueWriteBuffer=-4,clEnqueueMapBuffer=-12,clFinish=-36");
  expect_failure(buffer.read(bytes), ErrorCode::OpenClFailed, {info_.name, "clEnqueueReadBuffer: CL_OUT_OF_RESOURCES"});
  // Drivers that allocate late say so here.
  expect_failure(buffer.write(bytes), ErrorCode::OutOfDeviceMemory, {"clEnqueueWriteBuffer"});
  expect_failure(buffer.map(MapAccess::Read), ErrorCode::OpenClFailed, {"clEnqueueMapBuffer: CL_MAP_FAILURE (-12)"});
  expect_failure(device->finish(), ErrorCode::OpenClFailed, {"clFinish: CL_INVALID_COMMAND_QUEUE (-36)"});
}

TEST_F(OpenClFaultTest, LaunchesThatFail) {
  const auto device = support::value_of(Device::open(info_, kOptions));
  const auto program = support::value_of(device->program({.file = "one.cl", .source = kSource}));
  const Buffer out = support::buffer_of<std::int32_t>(*device, {0});
  auto launch = support::value_of(Launch::make(program, "one", {{"out", out}, {"value", std::int32_t{3}}}, Grid{}));
  {
    const auto set = fault("clEnqueueNDRangeKernel=-5");
    expect_failure(launch.enqueue(), ErrorCode::OpenClFailed,
                   {info_.name, "\"one\"", "clEnqueueNDRangeKernel: CL_OUT_OF_RESOURCES (-5)", "update the driver"});
  }
  {
    const auto set = fault("clEnqueueNDRangeKernel=-4");
    expect_failure(launch.enqueue(), ErrorCode::OutOfDeviceMemory, {"clEnqueueNDRangeKernel"});
  }
  {
    const auto set = fault("clEnqueueNDRangeKernel=-12345");
    expect_failure(launch.enqueue(), ErrorCode::OpenClFailed, {"code -12345"});
  }
  // A failed launch is not the end: the next one runs.
  ASSERT_TRUE(launch.enqueue());
  EXPECT_THAT(support::content_of<std::int32_t>(out), ElementsAre(3));
  const auto set = fault("clSetKernelArg=-50");
  launch.set("value", std::int32_t{4});
  expect_failure(launch.enqueue(), ErrorCode::OpenClFailed, {"clSetKernelArg: CL_INVALID_ARG_VALUE (-50)"});
}

TEST_F(OpenClFaultTest, AStoredProgramThatTheDriverRefuses) {
  const support::TempDir folder;
  std::vector<std::string> log;
  const auto build = [&] {
    const auto device = support::value_of(Device::open(info_, {.dot = DotProduct::None,
                                                               .cache_folder = folder.file("cache"),
                                                               .log = [&](LogLevel level, std::string_view text) {
                                                                 if (level == LogLevel::Warning) log.emplace_back(text);
                                                               }}));
    return support::value_of(device->program({.file = "one.cl", .source = kSource}))->from_cache();
  };
  EXPECT_FALSE(build());
  EXPECT_TRUE(build());
  EXPECT_TRUE(log.empty());
  const auto set = fault("clCreateProgramWithBinary=-42");
  EXPECT_FALSE(build());
  EXPECT_THAT(log, ElementsAre(HasSubstr("refused the stored program")));
}

}  // namespace
}  // namespace gguf_fuse::kernels
