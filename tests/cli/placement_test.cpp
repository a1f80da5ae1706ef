// SPDX-License-Identifier: MIT
// What -dev, -ts, -ngl and -ot mean on machines that this one is not.
#include "placement.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gguf_fuse::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using Names = std::vector<std::string>;

std::vector<DeviceInfo> machine(const Names& names) {
  std::vector<DeviceInfo> devices;
  for (const std::string& name : names) {
    DeviceInfo info;
    info.index = devices.size();
    info.platform = "P";
    info.name = name;
    info.type = name.find("gpu") == 0 ? DeviceType::Gpu : DeviceType::Cpu;
    devices.push_back(info);
  }
  return devices;
}

Names names_of(const DeviceChoice& choice) {
  Names names;
  for (const DeviceInfo& device : choice.devices) names.push_back(device.name);
  return names;
}

Result<DeviceChoice> choose(const EngineOptions& options, const Names& names) {
  return choose_devices(options, machine(names));
}

TEST(Placement, TheFirstGpuIsUsedWhenNothingIsSaid) {
  EXPECT_THAT(names_of(choose({}, {"cpu", "gpu1", "gpu2"}).value()), ElementsAre("gpu1"));
  EXPECT_THAT(names_of(choose({}, {"cpu1", "cpu2"}).value()), ElementsAre("cpu1"));
}

TEST(Placement, DevicesAreChosenByName) {
  EXPECT_THAT(names_of(choose({.devices = "gpu2,cpu"}, {"cpu", "gpu1", "gpu2"}).value()), ElementsAre("gpu2", "cpu"));
  EXPECT_THAT(names_of(choose({.devices = "none"}, {"gpu1", "cpu"}).value()), ElementsAre("cpu"));
  EXPECT_EQ(choose({.devices = "none"}, {"gpu1"}).error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(choose({.devices = "tpu"}, {"gpu1"}).error().code, ErrorCode::UnknownDevice);
}

TEST(Placement, SharesNeedAsManyDevices) {
  const auto split = choose({.loading = {.placement = {.split = {3, 1}}}}, {"cpu", "gpu1", "gpu2"}).value();
  EXPECT_THAT(names_of(split), ElementsAre("gpu1", "gpu2"));
  EXPECT_THAT(split.placement.split, ElementsAre(3, 1));
  EXPECT_THAT(names_of(choose({.loading = {.placement = {.split = {3, 1}}}}, {"cpu", "gpu1"}).value()),
              ElementsAre("gpu1", "cpu"));
  EXPECT_EQ(choose({.loading = {.placement = {.split = {1, 1}}}}, {"cpu"}).error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(choose({.devices = "gpu1", .loading = {.placement = {.split = {1, 1}}}}, {"cpu", "gpu1"}).error().code,
            ErrorCode::InvalidArgument);
}

TEST(Placement, LayersAreOffloadedFromTheLastDeviceToTheFirst) {
  const struct {
    EngineOptions options;
    Names machine, chosen;
  } rows[] = {{{.gpu_layers = 4}, {"cpu", "gpu1"}, {"gpu1", "cpu"}},
              {{.devices = "gpu1,cpu2", .gpu_layers = 4}, {"cpu1", "gpu1", "cpu2"}, {"gpu1", "cpu2"}},
              {{.devices = "cpu2,cpu1", .gpu_layers = 4}, {"cpu1", "cpu2"}, {"cpu2", "cpu1"}},
              {{.devices = "cpu1,gpu1", .gpu_layers = 4}, {"cpu1", "gpu1"}, {"cpu1", "gpu1"}},
              {{.devices = "gpu1,gpu2,cpu", .gpu_layers = 99}, {"cpu", "gpu1", "gpu2"}, {"gpu1", "gpu2", "cpu"}}};
  for (const auto& row : rows) {
    const auto choice = choose(row.options, row.machine).value();
    EXPECT_EQ(names_of(choice), row.chosen);
    EXPECT_THAT(choice.notes, IsEmpty());
    EXPECT_EQ(choice.placement.offload->layers, row.options.gpu_layers);
    EXPECT_EQ(choice.placement.offload->rest, row.chosen.size() - 1);
  }
}

TEST(Placement, WithoutALayerToOffloadTheRestIsOnItsDevice) {
  const auto none = choose({.gpu_layers = 0}, {"cpu", "gpu1"}).value();
  EXPECT_THAT(names_of(none), ElementsAre("cpu"));
  EXPECT_FALSE(none.placement.offload);
}

TEST(Placement, AGpuAloneIsOffloadedToOrSaysWhatIsMissing) {
  const auto gpu = choose({.gpu_layers = 4}, {"gpu1"}).value();
  EXPECT_THAT(names_of(gpu), ElementsAre("gpu1"));
  EXPECT_FALSE(gpu.placement.offload->rest);  // plan_placement() knows whether there is a rest
}

TEST(Placement, WhatHasNoEffectIsTold) {
  const auto cpu = choose({.gpu_layers = 4}, {"cpu"}).value();
  EXPECT_THAT(names_of(cpu), ElementsAre("cpu"));
  EXPECT_THAT(cpu.notes, ElementsAre(HasSubstr("no GPU")));
  EXPECT_FALSE(cpu.placement.offload);
  const auto split = choose({.loading = {.placement = {.split = {1, 1}}}, .gpu_layers = 4}, {"cpu", "gpu1"}).value();
  EXPECT_THAT(split.placement.split, ElementsAre(1, 1));
  EXPECT_THAT(split.notes, ElementsAre(HasSubstr("-ts")));
  EXPECT_FALSE(split.placement.offload);
}

/// Pattern and device of each override.
std::vector<std::pair<std::string, std::string>> overrides_of(const DeviceChoice& choice) {
  std::vector<std::pair<std::string, std::string>> found;
  for (const PlacementOverride& one : choice.placement.overrides) {
    found.emplace_back(one.pattern, choice.devices.at(one.device).name);
  }
  return found;
}

TEST(PlacementOverrides, ADeviceThatIsUsedAlreadyStaysAsItIs) {
  const auto choice =
      choose({.devices = "gpu1,cpu", .overrides = {{"exps", "CPU"}, {"attn", "gpu1"}}}, {"cpu", "gpu1", "gpu2"})
          .value();
  EXPECT_THAT(names_of(choice), ElementsAre("gpu1", "cpu"));
  EXPECT_THAT(choice.placement.split, IsEmpty());  // equal shares, as without overrides
  EXPECT_THAT(overrides_of(choice), ElementsAre(testing::Pair("exps", "cpu"), testing::Pair("attn", "gpu1")));
}

TEST(PlacementOverrides, AnotherDeviceJoinsWithoutLayers) {
  const auto choice =
      choose({.overrides = {{"exps", "CPU"}, {"output", "gpu2"}, {"attn", "1"}}}, {"cpu", "gpu1", "gpu2"}).value();
  EXPECT_THAT(names_of(choice), ElementsAre("gpu1", "cpu", "gpu2"));
  EXPECT_THAT(choice.placement.split, ElementsAre(1, 0, 0));
  EXPECT_THAT(overrides_of(choice), ElementsAre(testing::Pair("exps", "cpu"), testing::Pair("output", "gpu2"),
                                                testing::Pair("attn", "gpu1")));
  const auto shares =
      choose({.loading = {.placement = {.split = {3, 1}}}, .overrides = {{"exps", "CPU"}}}, {"cpu", "gpu1", "gpu2"})
          .value();
  EXPECT_THAT(names_of(shares), ElementsAre("gpu1", "gpu2", "cpu"));
  EXPECT_THAT(shares.placement.split, ElementsAre(3, 1, 0));
  // the CPU that -ngl brought is the one
  const auto layers = choose({.gpu_layers = 4, .overrides = {{"exps", "CPU"}}}, {"cpu", "gpu1"}).value();
  EXPECT_THAT(names_of(layers), ElementsAre("gpu1", "cpu"));
  EXPECT_EQ(layers.placement.offload->rest, 1U);
  EXPECT_THAT(overrides_of(layers), ElementsAre(testing::Pair("exps", "cpu")));
}

TEST(PlacementOverrides, DevicesThatAreNotThereAreRefused) {
  EXPECT_EQ(choose({.overrides = {{"exps", "CPU"}}}, {"gpu1"}).error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(choose({.overrides = {{"exps", "tpu"}}}, {"cpu", "gpu1"}).error().code, ErrorCode::UnknownDevice);
  EXPECT_EQ(choose({.overrides = {{"exps", "2"}}}, {"cpu", "gpu1"}).error().code, ErrorCode::UnknownDevice);
}

/// What a command line makes of -ot, -cmoe and -ncmoe.
std::vector<OverrideText> parsed(const std::vector<std::string>& arguments) {
  OptionTable table;
  EngineOptions options;
  add_device_options(table, options, 1);
  static_cast<void>(table.apply(table.read(arguments), "a test"));
  return options.overrides;
}

TEST(PlacementOverrides, OptionsKeepTheirOrder) {
  const auto all = parsed({"-ot", "a=0,b=c=1", "-cmoe", "-ncmoe", "2", "-ot", "d=CPU"});
  std::vector<std::string> shown;
  for (const OverrideText& one : all) shown.push_back(one.pattern + " -> " + one.device);
  const std::string experts = R"(\.ffn_(up|down|gate|gate_up)_(ch|)exps)";
  EXPECT_THAT(shown, ElementsAre("a -> 0", "b=c -> 1", experts + " -> CPU", R"(^blk\.0)" + experts + " -> CPU",
                                 R"(^blk\.1)" + experts + " -> CPU", "d -> CPU"));
  EXPECT_EQ(parsed({"-ncmoe", "5", "-ncmoe", "2"}).size(), 2U);  // the last one counts
  EXPECT_THAT(parsed({"-ncmoe", "0"}), IsEmpty());
}

}  // namespace
}  // namespace gguf_fuse::cli
