// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "../kernels/src/profile_rules.hpp"
#include "support/opencl_device.hpp"

namespace gguf_fuse::kernels {
namespace {

using testing::HasSubstr;

const HostCpu kBoth{.name = {}, .vnni_avx512 = true, .vnni_avx = true};

const DeviceInfo kPocl{.platform = "Portable Computing Language", .name = "pthread", .compute_units = 2};
const DeviceInfo kIntel{.platform = "Intel(R) OpenCL", .name = "Xeon", .packed_dot_product = true};
const DeviceInfo kMesa{.platform = "rusticl", .name = "llvmpipe (LLVM 15.0.6, 256 bits)", .compute_units = 8};
const DeviceInfo kNvidia{
    .platform = "NVIDIA CUDA", .name = "H200", .vendor = "NVIDIA Corporation", .type = DeviceType::Gpu};
const DeviceInfo kArc{.platform = "Intel(R) OpenCL Graphics",
                      .name = "Arc",
                      .vendor = "Intel(R) Corporation",
                      .type = DeviceType::Gpu,
                      .packed_dot_product = true};

struct Case {
  const char* name;
  DeviceInfo info;
  HostCpu cpu;
  Style style;
  DotProduct dot;
  bool eight_bit;
};

TEST(DeviceProfile, FollowsTheTable) {
  const Case cases[] = {
      {"PoCL, both", kPocl, kBoth, Style::Vector, DotProduct::VnniAvx512, true},
      {"PoCL, AVX-VNNI", kPocl, {.vnni_avx = true}, Style::Vector, DotProduct::VnniAvx, true},
      {"PoCL, old CPU", kPocl, {}, Style::Vector, DotProduct::None, true},
      {"Intel's CPU runtime", kIntel, kBoth, Style::Vector, DotProduct::None, false},
      {"Mesa on a CPU", kMesa, kBoth, Style::Group, DotProduct::None, false},
      {"NVIDIA", kNvidia, kBoth, Style::Group, DotProduct::Dp4a, true},
      {"Intel's GPU", kArc, kBoth, Style::Group, DotProduct::KhrInteger, true},
  };
  for (const Case& test : cases) {
    const auto profile = decide_profile(test.info, test.cpu, {}, [](DotProduct) { return std::string(); });
    EXPECT_EQ(profile.style, test.style) << test.name;
    EXPECT_EQ(profile.dot, test.dot) << test.name;
    EXPECT_EQ(profile.eight_bit, test.eight_bit) << test.name;
    EXPECT_EQ(profile.prefetch, test.style == Style::Vector) << test.name;
    EXPECT_THAT(profile.reason, HasSubstr(std::string(dot_product_name(test.dot)))) << test.name;
  }
}

TEST(DeviceProfile, AFailedProbeGoesToTheNextRowAndIsLogged) {
  std::vector<std::string> log;
  DeviceOptions options{.log = [&](LogLevel level, std::string_view text) {
    EXPECT_EQ(level, LogLevel::Warning);
    log.emplace_back(text);
  }};
  std::vector<DotProduct> asked;
  const auto one_fails = decide_profile(kPocl, kBoth, options, [&](DotProduct dot) {
    asked.push_back(dot);
    return dot == DotProduct::VnniAvx512 ? std::string("killed by signal 6") : std::string();
  });
  EXPECT_EQ(one_fails.dot, DotProduct::VnniAvx);
  EXPECT_THAT(asked, testing::ElementsAre(DotProduct::VnniAvx512, DotProduct::VnniAvx));
  EXPECT_THAT(log, testing::ElementsAre(HasSubstr("vnni-avx512 is not used: killed by signal 6")));
  EXPECT_THAT(one_fails.reason, HasSubstr("killed by signal 6"));

  const auto all_fail = decide_profile(kPocl, kBoth, {}, [](DotProduct) { return std::string("no"); });
  EXPECT_EQ(all_fail.dot, DotProduct::None);
}

TEST(DeviceProfile, OptionsOverrideWithoutAProbe) {
  const DeviceOptions options{.style = Style::Group, .dot = DotProduct::None};
  const auto profile = decide_profile(kPocl, kBoth, options, [](DotProduct) -> std::string {
    ADD_FAILURE() << "probed";
    return {};
  });
  EXPECT_EQ(profile.style, Style::Group);
  EXPECT_EQ(profile.dot, DotProduct::None);
  EXPECT_EQ(profile.compute_units, 2U);
}

TEST(DeviceProfile, NamesAreReadBack) {
  for (int i = 0; i <= static_cast<int>(DotProduct::Dp4a); ++i) {
    const auto dot = static_cast<DotProduct>(i);
    EXPECT_EQ(dot_product_by_name(dot_product_name(dot)), dot);
  }
  EXPECT_EQ(style_by_name("vector"), Style::Vector);
  EXPECT_EQ(style_by_name(style_name(Style::Group)), Style::Group);
  EXPECT_FALSE(style_by_name("Vector"));
  EXPECT_FALSE(dot_product_by_name(""));
}

}  // namespace
}  // namespace gguf_fuse::kernels
