// SPDX-License-Identifier: MIT
#include "gguf_fuse/kernels/device.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/opencl_device.hpp"

namespace gguf_fuse::kernels {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<DeviceInfo> three_devices() {
  return {{.index = 0, .platform = "Portable Computing Language", .name = "pthread-EPYC", .type = DeviceType::Cpu},
          {.index = 1, .platform = "NVIDIA CUDA", .name = "H200", .type = DeviceType::Gpu},
          {.index = 2, .platform = "NVIDIA CUDA", .name = "L40", .type = DeviceType::Gpu}};
}

std::vector<std::size_t> selected(std::string_view wanted) {
  std::vector<std::size_t> indices;
  for (const DeviceInfo& device : support::value_of(select_devices(three_devices(), wanted))) {
    indices.push_back(device.index);
  }
  return indices;
}

TEST(DeviceSelection, TakesIndicesAndPartsOfNamesInTheirOrder) {
  EXPECT_THAT(selected("2"), ElementsAre(2));
  EXPECT_THAT(selected("2,0"), ElementsAre(2, 0));
  EXPECT_THAT(selected(" h200 , 0 "), ElementsAre(1, 0));
  EXPECT_THAT(selected("nvidia"), ElementsAre(1, 2));
  EXPECT_THAT(selected("portable"), ElementsAre(0));
  EXPECT_THAT(selected("2,NVIDIA,L40"), ElementsAre(2, 1));
  // "200" is a number and so an index, whatever the names hold.
  EXPECT_FALSE(select_devices(three_devices(), "200"));
}

TEST(DeviceSelection, UnknownNamesAreToldWhatThereIs) {
  for (const std::string wanted : {"radeon", "3", "", "0,", ",", "0,,1", "-1", "0,radeon", "99999999999999999999999"}) {
    const auto result = select_devices(three_devices(), wanted);
    ASSERT_FALSE(result) << wanted;
    EXPECT_EQ(result.error().code, ErrorCode::UnknownDevice) << wanted;
    EXPECT_THAT(result.error().message(), HasSubstr("0: pthread-EPYC (Portable Computing Language)")) << wanted;
    EXPECT_THAT(result.error().message(), HasSubstr("2: L40 (NVIDIA CUDA)")) << wanted;
  }
  EXPECT_EQ(select_devices({}, "0").error().code, ErrorCode::NoDevice);
}

TEST(DeviceSelection, TheDefaultIsTheFirstGpuElseTheFirstDevice) {
  const auto devices = three_devices();
  EXPECT_EQ(default_device(devices)->index, 1U);
  EXPECT_EQ(default_device(std::span(devices).first(1))->index, 0U);
  EXPECT_EQ(default_device({}).error().code, ErrorCode::NoDevice);
}

TEST(DeviceInfo, ExtensionsAreWholeWords) {
  const DeviceInfo info{.extensions = "cl_khr_fp16_more cl_khr_fp64"};
  EXPECT_TRUE(info.has_extension("cl_khr_fp64"));
  EXPECT_TRUE(info.has_extension("cl_khr_fp16_more"));
  EXPECT_FALSE(info.has_extension("cl_khr_fp16"));
  EXPECT_FALSE(info.has_extension(""));
}

TEST(DeviceList, DescribesWhatItFinds) {
  const auto devices = support::value_of(list_devices());
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const DeviceInfo& device = devices[i];
    EXPECT_EQ(device.index, i);
    EXPECT_FALSE(device.name.empty());
    EXPECT_FALSE(device.platform.empty());
    EXPECT_FALSE(device.driver.empty());
    EXPECT_THAT(device.version, testing::StartsWith("OpenCL "));
    EXPECT_GE(device.compute_units, 1U);
    // What OpenCL promises of every full-profile device; the alignment in bytes is the size of a long16.
    EXPECT_GE(device.max_buffer_bytes, std::min<std::uint64_t>(device.global_bytes / 4, 1 << 30));
    EXPECT_LE(device.max_buffer_bytes, device.global_bytes);
    EXPECT_GE(device.local_bytes, 32U * 1024);
    EXPECT_GE(device.max_work_group, 1U);
    EXPECT_GE(device.alignment, 128U);
    EXPECT_LE(device.alignment, 4096U);
    EXPECT_EQ(device.alignment & (device.alignment - 1), 0U);
  }
}

TEST(DeviceList, NoLibraryIsNoOpenCl) {
  const support::ScopedVariable library("GGUF_FUSE_OPENCL_LIBRARY", "/nonexistent/libOpenCL.so");
  const auto devices = list_devices();
  ASSERT_FALSE(devices);
  EXPECT_EQ(devices.error().code, ErrorCode::NoOpenCl);
  EXPECT_THAT(devices.error().message(), HasSubstr("/nonexistent/libOpenCL.so"));
}

TEST(DeviceList, ALibraryThatIsNotOpenClIsNoOpenCl) {
  const support::ScopedVariable library("GGUF_FUSE_OPENCL_LIBRARY", "libc.so.6");
  const auto devices = list_devices();
  ASSERT_FALSE(devices);
  EXPECT_EQ(devices.error().code, ErrorCode::NoOpenCl);
  EXPECT_THAT(devices.error().message(), HasSubstr("clGetPlatformIDs"));
}

TEST(DeviceOptions, TheCacheFolderFollowsTheXdgSpecification) {
  const support::ScopedVariable home("HOME", "/home/someone");
  {
    const support::ScopedVariable cache("XDG_CACHE_HOME", "/var/cache/x");
    EXPECT_EQ(default_cache_folder(), "/var/cache/x/gguf-fuse");
  }
  {
    const support::ScopedVariable cache("XDG_CACHE_HOME", "relative");
    EXPECT_EQ(default_cache_folder(), "/home/someone/.cache/gguf-fuse");
  }
  const support::ScopedVariable cache("XDG_CACHE_HOME", std::nullopt);
  EXPECT_EQ(default_cache_folder(), "/home/someone/.cache/gguf-fuse");
  const support::ScopedVariable no_home("HOME", std::nullopt);
  EXPECT_EQ(default_cache_folder(), "");
}

}  // namespace
}  // namespace gguf_fuse::kernels
