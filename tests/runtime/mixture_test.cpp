// SPDX-License-Identifier: MIT
// Mixtures of experts: fused or not, in one buffer or several, on one device or two, the logits are the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "gguf_fuse/fuse/convert.hpp"
#include "support/random_model.hpp"
#include "support/runtime/run_model.hpp"
#include "support/temp_dir.hpp"

namespace gguf_fuse::runtime {
namespace {

using support::ModelSetup;
using support::open_runnable;
using support::open_session;
using support::RandomModel;
using support::reference_path;
using support::value_of;

const std::vector<std::int32_t> kTokens = {5, 17, 200, 31, 99, 4, 250, 12, 77, 130, 8, 64, 3, 180, 45, 222, 90, 6, 41};

/// Logits of the last token of a batch, then of a token that comes alone.
std::vector<float> logits_of(Session& session) {
  value_of(session.truncate(0));
  value_of(session.evaluate(kTokens));
  std::vector<float> logits = value_of(session.logits());
  value_of(session.evaluate(std::vector{7}));
  const auto single = value_of(session.logits());
  logits.insert(logits.end(), single.begin(), single.end());
  return logits;
}
std::vector<float> logits_of(const std::string& path, const ModelSetup& setup = {}) {
  return logits_of(*open_session(path, setup));
}

class Mixtures : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(References, Mixtures,
                         testing::Values("qwen2moe-q5", "qwen3moe-q2_k", "gpt-oss-mxfp4", "granite_swa-merged-q4_1",
                                         "glm4moe-q4_0", "gemma4-moe-q8_0", "deepseek2-q8_0"),
                         [](const auto& model) {
                           std::string name = model.param;
                           std::replace_if(
                               name.begin(), name.end(), [](char c) { return c == '-'; }, '_');
                           return name;
                         });

TEST_P(Mixtures, FusedWhileLoadingTheyGiveTheSameBits) {
  for (const Activations activations : {Activations::Q8, Activations::F32}) {
    const std::string path = reference_path(GetParam());
    const auto apart = logits_of(path, {.activations = activations, .fuse_gate_up = false, .fuse_qkv = false});
    EXPECT_EQ(logits_of(path, {.activations = activations}), apart);
    EXPECT_EQ(logits_of(path, {.activations = activations, .fuse_qkv = false}), apart);
    EXPECT_EQ(logits_of(path, {.activations = activations, .fuse_gate_up = false}), apart);
  }
}

// Files of 2023 have a tensor for each expert: they are stacked while they are read, fused or not.
TEST(UnstackedMixtures, GiveTheBitsOfTheStackedOnes) {
  const support::TempDir dir;
  for (const char* architecture : {"llama", "gpt-oss"}) {
    SCOPED_TRACE(architecture);
    const RandomModel model = RandomModel(architecture).experts(5).vocabulary(300).type("ffn_down_exps", "F16", 1);
    const std::string stacked = model.write(dir.file("stacked.gguf"));
    const std::string apart = RandomModel(model).unstacked().write(dir.file("apart.gguf"));
    const auto expected = logits_of(stacked);
    for (const bool fuse : {true, false}) {
      EXPECT_EQ(logits_of(apart, {.fuse_gate_up = fuse, .fuse_qkv = fuse}), expected);
      const auto description = open_runnable(apart, {.fuse_gate_up = fuse, .fuse_qkv = fuse})->description();
      EXPECT_EQ(description.fused.of("experts"), fuse ? 2U : 0U);
      EXPECT_TRUE(description.not_fused.empty());
    }
    const std::string merged = dir.file("merged.gguf");
    value_of(convert({.input = apart, .output = merged, .fuse = {.target = Target::GgufFuse}, .replace = true}));
    EXPECT_EQ(logits_of(merged), expected);
  }
}

TEST_P(Mixtures, AConvertedFileGivesTheSameBits) {
  const support::TempDir dir;
  const std::string path = reference_path(GetParam());
  const auto apart = logits_of(path, {.fuse_gate_up = false, .fuse_qkv = false});
  for (const Target target : {Target::LlamaCpp, Target::GgufFuse}) {
    const std::string fused = dir.file(std::string(target_name(target)) + ".gguf");
    value_of(convert({.input = path, .output = fused, .fuse = {.target = target}}));
    EXPECT_EQ(logits_of(fused), apart);
    EXPECT_EQ(logits_of(fused, {.fuse_gate_up = false, .fuse_qkv = false}), apart);
  }
}

TEST_P(Mixtures, TwoContextsOnOneModelGiveTheSame) {
  const auto model = open_runnable(reference_path(GetParam()));
  const SessionOptions options{.cache_k = CacheType::F32, .cache_v = CacheType::F32};
  const auto first = value_of(Session::create(model, options));
  const auto expected = logits_of(*first);
  const auto second = value_of(Session::create(model, options));
  EXPECT_EQ(logits_of(*second), expected);
  EXPECT_EQ(logits_of(*first), expected);
  EXPECT_EQ(model->description().fused.while_loading,
            open_runnable(reference_path(GetParam()))->description().fused.while_loading);
}

TEST_P(Mixtures, BlocksMayLieOnAnotherDevice) {
  const std::string path = reference_path(GetParam());
  const auto expected = logits_of(path);
  const auto& all = support::test_devices();
  const std::vector devices = {all.front(), all.size() > 1 ? all[1] : all.front()};
  const std::vector<std::vector<PlacementOverride>> choices = {
      {},
      {{.pattern = R"(\.ffn_(up|down|gate|gate_up)_(ch|)exps)", .device = 1}},
      {{.pattern = R"(blk\.1\.attn)", .device = 1}, {.pattern = ".*", .device = 0}},
      {{.pattern = "token_embd|ffn", .device = 1}, {.pattern = "^output", .device = 0}}};
  for (const auto& overrides : choices) {
    EXPECT_EQ(logits_of(path, {.devices = devices, .placement = {.overrides = overrides}}), expected)
        << overrides.size();
  }
}

TEST(MixtureParts, ExpertsMayLieInSeveralBuffers) {
  const support::TempDir dir;
  const auto& whole = support::test_devices().front();
  DeviceInfo info = whole->info();
  info.max_buffer_bytes = std::uint64_t{40} << 10;
  DeviceOptions options;
  options.style = whole->profile().style;
  const std::vector small = {value_of(Device::open(info, options))};
  for (const char* const architecture : {"qwen3moe", "gpt-oss"}) {
    const std::string path = dir.file(std::string(architecture) + ".gguf");
    RandomModel(architecture).embedding(64).feed_forward(64).experts(16, 2, 64).vocabulary(256).write(path);
    for (const bool fuse : {true, false}) {
      const ModelSetup one{.micro_batch = 4, .context = 32, .fuse_gate_up = fuse};
      ModelSetup many = one;
      many.devices = small;
      // Each part has its own launch, and each token's sum goes over the parts in their order.
      const auto expected = logits_of(path, one);
      const auto [least, most] = std::minmax_element(expected.begin(), expected.end());
      const double spread = static_cast<double>(*most - *least);
      EXPECT_LE(support::logit_difference(logits_of(path, many), expected).max, 1e-5 * spread) << architecture;
    }
  }
}

TEST(MixtureDescription, SaysWhatIsFused) {
  const std::string path = reference_path("qwen2moe-q5");
  const auto all = open_runnable(path)->description();
  EXPECT_EQ(all.experts, 4U);
  EXPECT_EQ(all.experts_used, 2U);
  EXPECT_EQ(all.fused.of("experts"), 2U);
  EXPECT_EQ(all.fused.of("dense"), 2U);
  EXPECT_EQ(all.fused.of("qkv"), 2U);
  EXPECT_EQ(all.fused.while_loading, 6U);
  const auto none = open_runnable(path, {.fuse_gate_up = false, .fuse_qkv = false})->description();
  EXPECT_EQ(none.fused.layers.size() + none.fused.while_loading, 0U);
  // Its shared expert is fused by design.
  const auto granite = open_runnable(reference_path("granite_swa-merged-q4_1.fused"))->description();
  EXPECT_EQ(granite.fused.of("experts"), 2U);
  EXPECT_EQ(granite.fused.of("dense"), 2U);
}

TEST(MixtureDescription, OneTokenReadsItsExpertsOnly) {
  const auto small = open_runnable(reference_path("qwen3moe-q2_k"))->description();
  EXPECT_LT(small.bytes_per_token, small.bytes);
}

TEST(PlacementOverrides, BadOnesAreRefused) {
  const std::string path = reference_path("qwen2moe-q5");
  const std::vector devices = {support::test_devices().front()};
  const auto attempt = [&](PlacementOverride override) {
    return RunnableModel::open(path, {.devices = devices, .placement = {.overrides = {std::move(override)}}});
  };
  const auto broken = attempt({.pattern = "blk.(", .device = 0});
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().code, ErrorCode::InvalidArgument);
  EXPECT_THAT(broken.error().message(), testing::HasSubstr("blk.("));
  const auto nowhere = attempt({.pattern = "exps", .device = 3});
  ASSERT_FALSE(nowhere);
  EXPECT_THAT(nowhere.error().message(), testing::HasSubstr("device 0 to 0"));
}

}  // namespace
}  // namespace gguf_fuse::runtime
