// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>

#include "support/memory_sink.hpp"
#include "support/random_model.hpp"
#include "support/rewrite.hpp"

namespace gguf_fuse::fuse {
namespace {

using support::model_of;
using support::RandomModel;
using ::testing::HasSubstr;

// The reason given for one rule in one layer; "fused" when there is none.
std::string decision(const RandomModel& random, RuleId rule, Target target = Target::LlamaCpp,
                     std::uint32_t layer = 0) {
  const auto plan = plan_fuse(model_of(random.build()).info, {.target = target});
  if (!plan) return plan.error().message();
  for (const Decision& item : plan->decisions) {
    if (item.rule == rule && item.layer == layer) return item.fused() ? "fused" : item.reason.text();
  }
  return "no decision";
}

TEST(Legality, TypesMustBeEqual) {
  EXPECT_THAT(decision(RandomModel("llama").type("attn_v", "Q5_0", 0), RuleId::Qkv), HasSubstr("types differ"));
  EXPECT_EQ(decision(RandomModel("llama").type("attn_v", "Q5_0", 0), RuleId::Qkv, Target::LlamaCpp, 1), "fused");
}

TEST(Legality, EngineMustReadTheType) {
  const RandomModel model = RandomModel("llama").wide().type("IQ4_K");
  EXPECT_THAT(decision(model, RuleId::Qkv), HasSubstr("llama.cpp cannot read type IQ4_K"));
  EXPECT_EQ(decision(model, RuleId::Qkv, Target::GgufFuse), "fused");
}

TEST(Legality, TensorWideScaleForbids) {
  EXPECT_THAT(decision(RandomModel("llama").wide().type("I2_S"), RuleId::Qkv, Target::GgufFuse),
              HasSubstr("one scale for the whole tensor"));
}

TEST(Legality, BiasesAllOrNone) {
  EXPECT_EQ(decision(RandomModel("llama").bias("attn_q").bias("attn_k").bias("attn_v"), RuleId::Qkv), "fused");
  EXPECT_THAT(decision(RandomModel("llama").bias("attn_q"), RuleId::Qkv), HasSubstr("only attn_q has a bias"));
  EXPECT_THAT(decision(RandomModel("llama").bias("attn_q").bias("attn_v"), RuleId::Qkv),
              HasSubstr("only attn_q, attn_v has a bias"));
}

TEST(Legality, ExpertBiasesOnlyInOurRuntime) {
  const RandomModel model = RandomModel("granite_swa").bias("ffn_gate_exps").bias("ffn_up_exps");
  EXPECT_THAT(decision(model, RuleId::GateUpExperts), HasSubstr("no place for biases"));
  EXPECT_EQ(decision(model, RuleId::GateUpExperts, Target::GgufFuse), "fused");
}

TEST(Legality, FusedBiasesAreIgnoredInGemma4) {
  const RandomModel model = RandomModel("gemma4").bias("attn_q").bias("attn_k").bias("attn_v");
  EXPECT_THAT(decision(model, RuleId::Qkv), HasSubstr("ignores the bias"));
}

TEST(Legality, ScalesForbid) {
  EXPECT_THAT(decision(RandomModel("llama").scale("attn_k"), RuleId::Qkv), HasSubstr("attn_k has a .scale"));
  EXPECT_THAT(decision(RandomModel("llama").scale("attn_q", {}, "input_scale"), RuleId::Qkv),
              HasSubstr("attn_q has a .input_scale"));
  EXPECT_THAT(decision(RandomModel("granite_swa").scale("ffn_up_exps"), RuleId::GateUpExperts),
              HasSubstr("has a .scale"));
}

TEST(Legality, ScalesOfRowsAreNoMatterToOurRuntime) {
  EXPECT_EQ(
      decision(RandomModel("llama").scale("attn_k").scale("attn_q", {}, "input_scale"), RuleId::Qkv, Target::GgufFuse),
      "fused");
  EXPECT_EQ(decision(RandomModel("granite_swa").scale("ffn_up_exps"), RuleId::GateUpExperts, Target::GgufFuse),
            "fused");
}

TEST(Legality, ActivationsMustAgree) {
  const auto model = [](std::vector<std::pair<std::string, bool>> list) {
    return RandomModel("llama").prec_a4(std::move(list));
  };
  EXPECT_THAT(decision(model({{"blk.0.attn_q.weight", false}}), RuleId::Qkv), HasSubstr("prec_a4"));
  EXPECT_EQ(decision(model({{"blk.0.attn_q.weight", true}}), RuleId::Qkv), "fused");
  EXPECT_EQ(
      decision(model({{"blk.0.attn_q.weight", false}, {"blk.0.attn_k.weight", false}, {"blk.0.attn_v.weight", false}}),
               RuleId::Qkv),
      "fused");
}

TEST(Legality, AllPartsMustBeThere) {
  EXPECT_THAT(decision(RandomModel("llama").drop("attn_v", 0), RuleId::Qkv),
              HasSubstr("has attn_q, attn_k but no attn_v"));
}

TEST(Legality, QkNormBreaksOnlyBertsGraph) {
  const auto with_norm = [](const char* architecture) {
    return RandomModel(architecture).tensor({.name = "blk.0.attn_q_norm.weight", .type = "F32", .dims = {16}});
  };
  EXPECT_THAT(decision(with_norm("jina-bert-v2"), RuleId::Qkv), HasSubstr("attn_q_norm"));
  EXPECT_EQ(decision(RandomModel("jina-bert-v2"), RuleId::Qkv), "fused");
  EXPECT_EQ(decision(with_norm("llama"), RuleId::Qkv), "fused");
}

TEST(Legality, FilesThatWouldCrashAreRefused) {
  for (const char* architecture : {"qwen4exp", "glm5-next", "bailingmoe3", "kimi-k3"}) {
    EXPECT_THAT(decision(RandomModel(architecture), RuleId::Qkv), HasSubstr("reads tensors that are not there"))
        << architecture;
  }
}

TEST(Legality, HeadCountsNotEmbeddingDecide) {
  // 3 heads of 32 are 96 rows where the embedding is 64: legal. 5 heads do not divide them.
  EXPECT_EQ(decision(RandomModel("llama").heads(3, 1, 32), RuleId::Qkv), "fused");
}

TEST(Legality, LayersOfAnotherKindAreLeftAlone) {
  const RandomModel model = RandomModel("llama").key_value_heads({0, 2});
  EXPECT_THAT(decision(model, RuleId::Qkv), HasSubstr("attention.head_count_kv is 0 here"));
  EXPECT_EQ(decision(model, RuleId::Qkv, Target::LlamaCpp, 1), "fused");
}

using Write = std::function<void(HeaderWriter&)>;

/// What models say about their layers in arrays, right and wrong; 3 layers have tensors.
std::vector<Write> array_values(const std::string& key) {
  const auto numbers = [&key](std::vector<std::uint32_t> values) {
    return Write([key, values = std::move(values)](HeaderWriter& writer) { writer.add_u32_array(key, values); });
  };
  return {numbers({0, 2, 0}),
          numbers({0, 0, 0}),
          numbers({2, 2}),
          numbers({}),
          numbers({2, 2, 2, 2, 2, 2}),
          numbers({0xffffffffU, 2, 2}),
          [key](HeaderWriter& writer) { writer.add_u32(key, 0); },
          [key](HeaderWriter& writer) { writer.add_u32(key, 0xffffffffU); },
          [key](HeaderWriter& writer) { writer.add_i32(key, -1); },
          [key](HeaderWriter& writer) {
            writer.add_i32_array(key, std::array<std::int32_t, 3>{-1, 2, 2});
          },
          [key](HeaderWriter& writer) { writer.add_f32(key, 2); },
          [key](HeaderWriter& writer) {
            writer.add_f32_array(key, std::array<float, 3>{2, 2, 2});
          },
          [key](HeaderWriter& writer) {
            writer.add_bool_array(key, std::array{true, false, true});
          },
          [key](HeaderWriter& writer) { writer.add_string(key, "two"); },
          [key](HeaderWriter& writer) {
            writer.add_string_array(key, std::array<std::string_view, 3>{"a", "b", "c"});
          },
          nullptr};
}

class PerLayerValue : public testing::TestWithParam<const char*> {};

// Whatever a model says about its layers, the copy is right: what a rule does not understand stays as it is.
TEST_P(PerLayerValue, OfAnyArchitectureStopsNoCopy) {
  std::size_t kept = 0, fused = 0;
  for (const ArchitectureRow& row : architectures()) {
    const auto file = RandomModel(std::string(row.name)).layers(3).build();
    const std::string key = std::string(row.name) + "." + GetParam();
    for (const Write& write : array_values(key)) {
      SCOPED_TRACE(key);
      const auto changed = support::with_key(file, key, write);
      Model model = model_of(changed);
      const auto plan = plan_fuse(model.info);
      ASSERT_TRUE(plan) << plan.error().message();
      const auto files = support::run_plan(*plan, model);
      Model copy = model_of(files);
      if (plan->fused_count() == 0) {
        EXPECT_EQ(files.front(), changed);
        ++kept;
        continue;
      }
      ++fused;
      EXPECT_EQ(support::run_plan(support::value_of(plan_unfuse(copy.info)), copy).front(), changed);
    }
  }
  EXPECT_GT(kept, 300U);
  EXPECT_GT(fused, 700U);
}

INSTANTIATE_TEST_SUITE_P(Of, PerLayerValue,
                         testing::Values("attention.head_count", "attention.head_count_kv", "feed_forward_length",
                                         "attention.key_length", "attention.shared_kv_layers", "attention.rope_pattern",
                                         "embedding_length", "block_count"),
                         [](const auto& instance) {
                           std::string name = instance.param;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

// The way back without a record meets the same values.
TEST(Legality, NoPerLayerValueStopsTakingApart) {
  for (const char* architecture : {"llama", "gemma3", "qwen35moe", "granite_swa", "phi3", "kimi-linear"}) {
    const auto file = RandomModel(architecture).layers(3).fused(RuleId::Qkv).fused(RuleId::GateUpExperts).build();
    for (const char* name : {"attention.head_count", "attention.head_count_kv", "feed_forward_length",
                             "attention.key_length", "attention.value_length"}) {
      const std::string key = std::string(architecture) + "." + name;
      for (const Write& write : array_values(key)) {
        SCOPED_TRACE(key);
        const auto changed = support::with_key(file, key, write);
        const auto plan = plan_unfuse(model_of(changed).info);
        EXPECT_TRUE(plan || plan.error().code == ErrorCode::NothingToUnfuse) << plan.error().message();
      }
    }
  }
}

// Neither may a tensor stand twice in the result, nor a scale without the tensor that it belongs to.
TEST(Legality, NeighboursForbidTakingApart) {
  const auto fused = [] {
    return RandomModel("llama").bias("attn_q").bias("attn_k").bias("attn_v").fused(RuleId::Qkv);
  };
  const auto reason = [](const RandomModel& random) {
    const auto plan = plan_unfuse(model_of(random.build()).info);
    return plan ? std::string("taken apart") : plan.error().message();
  };
  EXPECT_EQ(reason(fused()), "taken apart");
  for (const char* part : {"attn_q", "attn_k", "attn_v"}) {
    for (const char* attribute : {"weight", "bias"}) {
      RandomModel model = fused();
      for (const char* layer : {"blk.0.", "blk.1."}) {
        const std::string name = std::string(layer) + part + "." + attribute;
        model.tensor({.name = name, .type = "F32", .dims = {32}});
      }
      EXPECT_THAT(reason(model), HasSubstr(std::string(part) + "." + attribute + " is there already")) << part;
    }
  }
  EXPECT_THAT(reason(RandomModel("llama").fused(RuleId::Qkv).scale("attn_qkv")), HasSubstr("attn_qkv has a .scale"));
  EXPECT_THAT(reason(RandomModel("granite_swa").fused(RuleId::GateUpExperts).scale("ffn_gate_up_exps")),
              HasSubstr("ffn_gate_up_exps has a .scale"));
}

TEST(Legality, UnknownArchitectures) {
  EXPECT_THAT(decision(RandomModel("frobnicator"), RuleId::Qkv), HasSubstr("not known to read fused tensors"));
  EXPECT_EQ(decision(RandomModel("frobnicator"), RuleId::Qkv, Target::GgufFuse), "fused");
}

TEST(Legality, InterleavedRowsFuseInWholeGroups) {
  EXPECT_EQ(decision(RandomModel("llama").wide().type("Q4_K_R4"), RuleId::Qkv, Target::GgufFuse), "fused");
}

}  // namespace
}  // namespace gguf_fuse::fuse
