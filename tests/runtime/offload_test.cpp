// SPDX-License-Identifier: MIT
// Models of which some layers are offloaded from one device to another say what they say on one device, and lie where
// the plan has them.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "engine/engine_state.hpp"
#include "support/runtime/run_model.hpp"
#include "support/value_of.hpp"

namespace gguf_fuse::runtime {
namespace {

using support::ModelSetup;
using support::reference_path;
using support::value_of;

class Offloading : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (support::test_devices().size() < 2) GTEST_SKIP() << "two devices are needed";
  }
  [[nodiscard]] static ModelSetup setup(std::uint32_t layers, OutputPlacement output) {
    const auto& devices = support::test_devices();
    return {.devices = {devices[0], devices[1]},
            .placement = {.offload = PlacementOptions::Offload{.layers = layers, .rest = 1}, .output = output}};
  }
  [[nodiscard]] static std::vector<float> logits_of(const ModelSetup& options) {
    const auto session = support::open_session(reference_path(GetParam()), options);
    value_of(session->evaluate(std::vector<std::int32_t>{3, 17, 5, 60, 9, 2, 44}));
    value_of(session->evaluate(std::vector<std::int32_t>{11}));
    return value_of(session->logits());
  }
};

TEST_P(Offloading, AnyNumberOfLayersGivesTheSameLogits) {
  const std::vector<float> expected = logits_of({});
  const std::uint32_t layers = support::open_runnable(reference_path(GetParam()))->description().layers;
  for (const OutputPlacement output : {OutputPlacement::First, OutputPlacement::Last}) {
    for (std::uint32_t offloaded = 0; offloaded <= layers + 1; ++offloaded) {
      EXPECT_EQ(logits_of(setup(offloaded, output)), expected)
          << offloaded << " layers, the output " << (output == OutputPlacement::First ? "first" : "last");
    }
  }
}

TEST_P(Offloading, MemoryAndStagesAreThoseOfThePlan) {
  const auto& devices = support::test_devices();
  const std::uint32_t layers = support::open_runnable(reference_path(GetParam()))->description().layers;
  for (std::uint32_t offloaded = 0; offloaded <= layers + 1; ++offloaded) {
    SCOPED_TRACE(offloaded);
    const std::uint64_t before[] = {devices[0]->allocated_bytes(), devices[1]->allocated_bytes()};
    const auto options = setup(offloaded, OutputPlacement::First);
    const auto model = support::open_runnable(reference_path(GetParam()), options);
    const PlacementPlan& plan = model->description().placement.plan;
    for (std::size_t i = 0; i < 2; ++i) {
      // matrices begin at multiples of 128 bytes
      EXPECT_NEAR(static_cast<double>(devices[i]->allocated_bytes() - before[i]), static_cast<double>(plan.bytes[i]),
                  0.02 * static_cast<double>(plan.bytes[i]));
    }
    value_of(model->wait());
    const auto session = value_of(Session::create(model, {}));
    EXPECT_EQ(session->engine().state().stages.size(), plan.splits.size());
  }
}

TEST_P(Offloading, ThePlanIsToldWithoutLoading) {
  const auto options = setup(2, OutputPlacement::First);
  const auto model = support::open_runnable(reference_path(GetParam()), options);
  const PlacementPlan& loaded = model->description().placement.plan;
  const auto told = value_of(RunnableModel::plan(reference_path(GetParam()), {.placement = options.placement}, 2));
  ASSERT_EQ(told.plan.places.size(), loaded.places.size());
  for (std::size_t i = 0; i < loaded.places.size(); ++i) {
    EXPECT_EQ(told.plan.places[i].device, loaded.places[i].device) << i;
  }
  EXPECT_EQ(told.plan.bytes, loaded.bytes);
}

INSTANTIATE_TEST_SUITE_P(Of, Offloading,
                         testing::Values("llama-q8_0", "llama-tied-ropefreqs-q4_0", "gemma3-q8_0", "qwen35moe-q8_0",
                                         "deepseek2-q8_0", "gemma4-moe-q8_0"),
                         [](const auto& model) {
                           std::string name = model.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace gguf_fuse::runtime
