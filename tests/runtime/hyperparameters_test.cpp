// SPDX-License-Identifier: MIT
// What keys mean where no tiny reference model has them: positions stretched by YaRN, sections of M-RoPE, routers.
// Numbers are worked out by hand, from the papers and from what llama.cpp makes of the same keys.
#include "model/network.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "gguf_fuse/loader/container.hpp"
#include "model/architecture.hpp"
#include "support/random_model.hpp"
#include "support/value_of.hpp"

namespace gguf_fuse::runtime {
namespace {

using support::RandomModel;
using support::value_of;
using testing::ElementsAre;

using Write = std::function<void(HeaderWriter&)>;

Result<Network> read(RandomModel model, const Write& write = {}) {
  if (write) model.keys(write);
  const support::Bytes file = model.build();
  const auto source = memory_source(file, "in.gguf");
  const Container container = value_of(read_container(*source));
  return read_network(container.metadata, "in.gguf");
}

/// The attention of the first layer.
const AttentionParameters& attention(const Network& network) {
  const Block* const block = network.layers[0].mixer.block.get();
  const auto* const latent = dynamic_cast<const LatentAttention*>(block);
  return latent != nullptr ? latent->parameters() : dynamic_cast<const Attention&>(*block).parameters();
}

/// YaRN, with a factor whose logarithm is 10 * `tenths`, so that its growth is 1 + tenths.
Write yarn(const std::string& architecture, double tenths, float log_multiplier = 0, float attention_factor = 0) {
  return [=](HeaderWriter& writer) {
    writer.add_string(architecture + ".rope.scaling.type", "yarn");
    writer.add_f32(architecture + ".rope.scaling.factor", static_cast<float>(std::exp(10 * tenths)));
    writer.add_u32(architecture + ".rope.scaling.original_context_length", 4096);
    if (log_multiplier != 0) writer.add_f32(architecture + ".rope.scaling.yarn_log_multiplier", log_multiplier);
    if (attention_factor != 0) writer.add_f32(architecture + ".rope.scaling.attn_factor", attention_factor);
  };
}

TEST(Yarn, GrowthIsInCosAndSinOfQAndK) {
  const Network plain = value_of(read(RandomModel("qwen3")));
  const Network stretched = value_of(read(RandomModel("qwen3"), yarn("qwen3", 0.25)));
  EXPECT_FLOAT_EQ(rope_magnitude(*plain.ropes.global), 1);
  EXPECT_FLOAT_EQ(rope_magnitude(*stretched.ropes.global), 1.25F);
  EXPECT_FLOAT_EQ(attention(stretched).q_factor, attention(plain).q_factor);
  EXPECT_FLOAT_EQ(rope_magnitude(*value_of(read(RandomModel("qwen3"), yarn("qwen3", 0.25, 0, 0.5F))).ropes.global),
                  0.625F);
}

// A head's part that does not turn has to grow as well: scores by growth^2, through Q. The deepseek2 of llama.cpp
// cancels the factor of cos and sin when there is a log multiplier (a tenth of mscale_all_dim), and not without one.
TEST(Yarn, WithLatentAttentionGrowthIsInScores) {
  const float plain = attention(value_of(read(RandomModel("deepseek2")))).q_factor;
  EXPECT_FLOAT_EQ(plain, 1 / std::sqrt(64.0F + 16.0F));  // embedding + head_size of the tiny model
  struct Row {
    float log_multiplier, attention_factor, magnitude, growth;
  };
  // factor e^2.5; 0.1 * ln(factor) = 0.25
  const Row rows[] = {{0.1F, 0, 1, 1.25F},            // mscale_all_dim 1, DeepSeek V3
                      {0.0707F, 0, 1, 1 + 0.17675F},  // 0.707, DeepSeek V2 Lite
                      {0.1F, 2, 2, 2.5F},             // the attention factor is in both
                      {0, 0, 1.25F, 1.25F},           // older files
                      {0, 2, 2.5F, 2.5F}};
  for (const Row& row : rows) {
    SCOPED_TRACE(testing::Message() << "multiplier " << row.log_multiplier << ", factor " << row.attention_factor);
    const auto found =
        value_of(read(RandomModel("deepseek2"), yarn("deepseek2", 0.25, row.log_multiplier, row.attention_factor)));
    EXPECT_NEAR(rope_magnitude(*found.ropes.global), row.magnitude, 1e-6);
    EXPECT_NEAR(attention(found).q_factor / plain, row.growth * row.growth, 1e-5);
  }
}

// Pairs that turn more than 32 times over the original context keep their angle, those that turn less than once are
// divided by the factor, and what lies between is mixed by a ramp over pair numbers.
TEST(Yarn, RampMixesScaledAndUnscaledAngles) {
  RopeParameters rope{.base = 10000, .scale = 0.25, .rotated = 64, .yarn = true, .original_context = 4096};
  const auto frequencies = rope_frequencies(rope, {});
  // pair(turns) = 64 * ln(4096 / (turns * 2 pi)) / (2 * ln 10000): 10.47 for 32, 22.51 for 1; floor and ceil
  constexpr double kLow = 10, kHigh = 23;
  for (std::uint32_t i = 0; i < 32; ++i) {
    const double angle = std::pow(10000.0, -static_cast<double>(i) / 32);
    const double share = std::clamp((i - kLow) / (kHigh - kLow), 0.0, 1.0);
    EXPECT_NEAR(frequencies.at(i) / (angle * (1 - share) + angle / 4 * share), 1, 1e-6) << i;
  }
  rope.yarn = false;
  EXPECT_FLOAT_EQ(rope_frequencies(rope, {}).at(0), 0.25F);
}

/// Pairs without rotation, of a model whose sixteen pairs are cut so.
std::vector<std::size_t> still_pairs(const std::vector<std::uint32_t>& sections) {
  const support::Bytes file = RandomModel("qwen3").heads(2, 1, 32).build();
  const auto source = memory_source(file, "in.gguf");
  const Container container = value_of(read_container(*source));
  HeaderWriter writer;
  writer.add_string("general.architecture", "qwen3vl");
  for (std::size_t i = 0; i < container.metadata.size(); ++i) {
    const Metadata::Entry entry = container.metadata[i];
    if (!entry.key.starts_with("qwen3.")) continue;
    writer.add_value("qwen3vl." + std::string(entry.key.substr(6)), entry.value.type(), entry.value.bytes());
  }
  writer.add_u32_array("qwen3vl.rope.dimension_sections", sections);
  const support::Bytes changed = writer.finish();
  const auto changed_source = memory_source(changed, "in.gguf");
  const Container header = value_of(read_container(*changed_source));
  const auto found = value_of(read_network(header.metadata, "in.gguf"));
  const auto frequencies = rope_frequencies(*found.ropes.global, {});
  std::vector<std::size_t> still;
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    if (frequencies[i] == 0) still.push_back(i);
  }
  return still;
}

// Pair i belongs to section i % 3 while that one has pairs left, else to the fourth, where text has position 0.
TEST(Sections, TakeTurnsAndTheFourthStandsStill) {
  EXPECT_THAT(still_pairs({6, 5, 5, 0}), ElementsAre());
  EXPECT_THAT(still_pairs({6, 5, 3, 2}), ElementsAre(11, 14));
  EXPECT_THAT(still_pairs({6, 0, 0, 10}), ElementsAre(1, 2, 4, 5, 7, 8, 10, 11, 13, 14));
  EXPECT_THAT(still_pairs({1, 1, 1, 1}), ElementsAre(3, 7, 11, 15));  // begin again every four pairs
  EXPECT_THAT(still_pairs({2, 1, 1}), ElementsAre());
}

RouterShape router(const std::string& architecture,
                   const std::function<void(HeaderWriter&, const std::string&)>& write) {
  // Without what the tiny models say of it themselves.
  const support::Bytes file = RandomModel(architecture).experts(8, 2, 32).build();
  const auto source = memory_source(file, "in.gguf");
  const Container container = value_of(read_container(*source));
  HeaderWriter writer;
  for (std::size_t i = 0; i < container.metadata.size(); ++i) {
    const Metadata::Entry entry = container.metadata[i];
    const bool own = entry.key.find(".expert_weights_") != std::string_view::npos || entry.key.ends_with("gating_func");
    if (!own) writer.add_record(entry.record);
  }
  write(writer, architecture + ".");
  const support::Bytes changed = writer.finish();
  const auto changed_source = memory_source(changed, "in.gguf");
  const Container header = value_of(read_container(*changed_source));
  return *value_of(read_network(header.metadata, "in.gguf")).layers.back().feed_forward.block->router();
}

TEST(Router, GatingNumbersAreLlamaCpps) {
  const auto gating = [](const char* architecture, std::optional<std::uint32_t> number) {
    return router(architecture,
                  [&](HeaderWriter& writer, const std::string& prefix) {
                    if (number) writer.add_u32(prefix + "expert_gating_func", *number);
                  })
        .gating;
  };
  EXPECT_EQ(gating("glm4moe", {}), Gating::Sigmoid);
  EXPECT_EQ(gating("deepseek2", {}), Gating::Softmax);
  for (const char* architecture : {"glm4moe", "deepseek2"}) {
    EXPECT_EQ(gating(architecture, 1), Gating::Softmax);
    EXPECT_EQ(gating(architecture, 2), Gating::Sigmoid);
    EXPECT_EQ(gating(architecture, 3), Gating::SelectedSoftmax);
  }
  EXPECT_EQ(gating("glm4moe", 0), Gating::Sigmoid);  // none said
  EXPECT_EQ(gating("deepseek2", 0), Gating::Softmax);
  // The others have one of their own, whatever is written.
  for (const std::optional<std::uint32_t> number : {std::optional<std::uint32_t>{}, {0}, {2}}) {
    EXPECT_EQ(gating("qwen3moe", number), Gating::Softmax);
    EXPECT_EQ(gating("gpt-oss", number), Gating::SelectedSoftmax);
  }
}

TEST(Router, WeightsAreNormalisedAndScaledAsSaid) {
  const auto with = [](const char* architecture, std::optional<bool> normalise, std::optional<float> scale) {
    return router(architecture, [&](HeaderWriter& writer, const std::string& prefix) {
      if (normalise) writer.add_bool(prefix + "expert_weights_norm", *normalise);
      if (scale) writer.add_f32(prefix + "expert_weights_scale", *scale);
    });
  };
  EXPECT_TRUE(with("qwen3moe", {}, {}).normalise);
  EXPECT_FALSE(with("qwen2moe", {}, {}).normalise);
  EXPECT_TRUE(with("qwen3moe", false, {}).normalise);  // these do not read the keys
  EXPECT_FALSE(with("qwen2moe", true, {}).normalise);
  EXPECT_EQ(with("qwen3moe", {}, 2.5F).scale, 1);
  EXPECT_EQ(with("qwen3moe", {}, {}).scale, 1);
  for (const char* architecture : {"glm4moe", "deepseek2"}) {
    EXPECT_FALSE(with(architecture, false, {}).normalise);
    EXPECT_TRUE(with(architecture, true, {}).normalise);
    EXPECT_EQ(with(architecture, {}, 2.5F).scale, 2.5F);
    EXPECT_EQ(with(architecture, {}, 0.0F).scale, 1);  // 0 is written for none
  }
}

TEST(Router, GroupsOfExperts) {
  const auto groups = [](std::optional<std::uint32_t> count, std::optional<std::uint32_t> used) {
    const RouterShape found = router("qwen3moe", [&](HeaderWriter& writer, const std::string& prefix) {
      if (count) writer.add_u32(prefix + "expert_group_count", *count);
      if (used) writer.add_u32(prefix + "expert_group_used_count", *used);
    });
    return std::pair(found.groups, found.groups_used);
  };
  EXPECT_EQ(groups({}, {}), std::pair(1U, 1U));
  EXPECT_EQ(groups(4, 2), std::pair(4U, 2U));
  EXPECT_EQ(groups(0, 0), std::pair(1U, 1U));  // written for none
  EXPECT_EQ(groups(1, 1), std::pair(1U, 1U));
  const auto refused = [](std::uint32_t count, std::uint32_t used) {
    return !read(RandomModel("qwen3moe").experts(8, 2, 32), [&](HeaderWriter& writer) {
      writer.add_u32("qwen3moe.expert_group_count", count);
      writer.add_u32("qwen3moe.expert_group_used_count", used);
    });
  };
  EXPECT_FALSE(read(RandomModel("qwen3moe").experts(8, 2, 32),
                    [](HeaderWriter& writer) { writer.add_u32("qwen3moe.expert_group_count", 4); }));
  EXPECT_TRUE(refused(3, 1));  // 8 experts in 3 groups
  EXPECT_TRUE(refused(4, 5));  // more than there are
  EXPECT_TRUE(refused(4, 0));  // none to choose from
  EXPECT_TRUE(refused(8, 1));  // two experts out of one
  EXPECT_FALSE(refused(8, 2));
}

template <typename T>
const T& feed_forward(const Network& network, std::size_t layer) {
  return dynamic_cast<const T&>(*network.layers.at(layer).feed_forward.block);
}

TEST(Mixture, DenseLayersAndSharedExpertsHaveTheirSizes) {
  const auto glm = value_of(read(RandomModel("glm4moe").layers(3).feed_forward(96).experts(4, 2, 32)));
  ASSERT_EQ(glm.layers.size(), 3U);
  EXPECT_EQ(feed_forward<Dense>(glm, 0).parameters().size, 96U);
  EXPECT_EQ(feed_forward<Mixture>(glm, 1).parameters().shared, 32U);  // one shared expert
  EXPECT_EQ(feed_forward<Mixture>(glm, 1).parameters().size, 32U);
  const auto beside = value_of(read(RandomModel("gemma4").feed_forward(96).experts(4, 2, 32)));
  EXPECT_EQ(feed_forward<MixtureBesideDense>(beside, 0).dense().size, 96U);
  const auto alone = value_of(read(RandomModel("qwen3moe").feed_forward(96).experts(4, 2, 32)));
  EXPECT_EQ(feed_forward<Mixture>(alone, 0).parameters().shared, 0U);
  // Mixtral's experts are as wide as feed_forward_length says.
  const auto mixtral = value_of(read(RandomModel("llama").feed_forward(96).experts(4)));
  EXPECT_EQ(feed_forward<Mixture>(mixtral, 0).parameters().size, 96U);
  const auto narrow = value_of(read(RandomModel("llama").feed_forward(96).experts(4, 2, 32)));
  EXPECT_EQ(feed_forward<Mixture>(narrow, 0).parameters().size, 96U);
}

TEST(Mixture, LayersForSpeculationAreLeftOut) {
  const auto found = value_of(read(RandomModel("glm4moe").layers(3),
                                   [](HeaderWriter& writer) { writer.add_u32("glm4moe.nextn_predict_layers", 1); }));
  EXPECT_EQ(found.layers.size(), 2U);
  EXPECT_EQ(found.sizes.next_token_layers, 1U);
}

}  // namespace
}  // namespace gguf_fuse::runtime
