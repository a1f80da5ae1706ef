// SPDX-License-Identifier: MIT
// What keeps the tensors of a layer's experts apart, and records of stacks that lie.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "gguf_fuse/fuse/part_names.hpp"
#include "support/memory_sink.hpp"
#include "support/random_model.hpp"
#include "support/rewrite.hpp"

namespace gguf_fuse::fuse {
namespace {

using support::Bytes;
using support::model_of;
using support::RandomModel;
using support::run_plan;
using support::TensorSpec;
using support::value_of;
using support::with_key;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

RandomModel apart(std::uint32_t experts = 8) { return RandomModel("llama").experts(experts).type("Q4_0").unstacked(); }

RandomModel without(std::vector<std::string> names) {
  return apart().edit([names = std::move(names)](std::vector<TensorSpec>& table) {
    std::erase_if(
        table, [&](const TensorSpec& spec) { return std::find(names.begin(), names.end(), spec.name) != names.end(); });
  });
}

RandomModel with(TensorSpec spec) { return apart().tensor(std::move(spec)); }

RandomModel with_spec(const std::string& name, const std::function<void(TensorSpec&)>& change) {
  return apart().edit([=](std::vector<TensorSpec>& table) {
    for (TensorSpec& spec : table) {
      if (spec.name != name) continue;
      spec.data.clear();
      change(spec);
    }
  });
}

/// What was decided for `rule` in the first layer; the second one is whole, and stacked.
std::string decision(const Bytes& file, RuleId rule = RuleId::StackGate, Target target = Target::LlamaCpp) {
  Model model = model_of(file);
  const Plan plan = value_of(plan_fuse(model.info, {.target = target}));
  const std::vector<Bytes> files = run_plan(plan, model);
  Model fused = model_of(files);
  EXPECT_TRUE(plan.fused_count() == 0 || run_plan(value_of(plan_unfuse(fused.info)), fused).front() == file);
  for (const Decision& item : plan.decisions) {
    if (item.rule == rule && item.layer == 0) return item.fused() ? "fused" : item.reason.text();
  }
  return "no decision";
}
std::string decision(const RandomModel& random, RuleId rule = RuleId::StackGate, Target target = Target::LlamaCpp) {
  return decision(random.build(), rule, target);
}

TEST(StackLegality, AllExpertsMustBeThereAndNoneMore) {
  EXPECT_EQ(decision(apart()), "fused");
  EXPECT_EQ(decision(without({"blk.0.ffn_gate.3.weight"})), "has ffn_gate.{0..2,4..7} but no ffn_gate.3");
  EXPECT_EQ(decision(without({"blk.0.ffn_gate.0.weight", "blk.0.ffn_gate.6.weight", "blk.0.ffn_gate.7.weight"})),
            "has ffn_gate.{1..5} but no ffn_gate.{0,6..7}");
  EXPECT_EQ(decision(without({"blk.0.ffn_gate.3.weight"}), RuleId::StackUp), "fused") << "each stack by itself";
  EXPECT_EQ(decision(with({"blk.0.ffn_gate.8.weight", "Q4_0", {64, 96}})),
            "has ffn_gate.8, although expert_count is 8");
  EXPECT_EQ(decision(with({"blk.0.ffn_gate.08.weight", "Q4_0", {64, 96}})), "fused") << "no number";
  EXPECT_EQ(decision(with({"blk.0.ffn_gate.4294967296.weight", "Q4_0", {64, 96}})), "fused");
}

TEST(StackLegality, TheModelSaysHowManyExpertsThereAre) {
  constexpr std::string_view kCount = "llama.expert_count";
  const auto counted = [&](const std::function<void(HeaderWriter&)>& write) {
    return decision(with_key(apart().build(), kCount, write));
  };
  EXPECT_EQ(counted(nullptr), "the model does not say expert_count");
  EXPECT_EQ(counted([&](HeaderWriter& w) { w.add_u32(kCount, 0); }), "has ffn_gate.{0..7}, although expert_count is 0");
  EXPECT_EQ(counted([&](HeaderWriter& w) { w.add_u32(kCount, 6); }), "has ffn_gate.{6..7}, although expert_count is 6");
  EXPECT_EQ(counted([&](HeaderWriter& w) { w.add_u64(kCount, ~std::uint64_t{0}); }),
            "has ffn_gate.{0..7} but no ffn_gate.{8..18446744073709551614}");
  EXPECT_EQ(counted([&](HeaderWriter& w) { w.add_string(kCount, "eight"); }),
            "expert_count of this layer is no integer of at least 0");
}

TEST(StackLegality, ExpertsAreOfOneTypeAndShape) {
  EXPECT_EQ(decision(with_spec("blk.0.ffn_gate.6.weight", [](TensorSpec& spec) { spec.type = "Q8_0"; })),
            "types differ: ffn_gate.{0..5} Q4_0, ffn_gate.6 Q8_0, ffn_gate.7 Q4_0");
  EXPECT_EQ(decision(with_spec("blk.0.ffn_gate.6.weight", [](TensorSpec& spec) { spec.dims[1] = 32; })),
            "shapes differ: ffn_gate.0 [64, 96, 1, 1], ffn_gate.6 [64, 32, 1, 1]");
  EXPECT_EQ(decision(with_spec("blk.0.ffn_gate.0.weight", [](TensorSpec& spec) { spec.dims.push_back(2); })),
            "ffn_gate.0 has 3 dimensions");
  EXPECT_THAT(
      decision(RandomModel("llama").wide().experts(2).type("I2_S").unstacked(), RuleId::StackGate, Target::GgufFuse),
      HasSubstr("one scale for the whole tensor"));
}

TEST(StackLegality, WhatBelongsToAnExpertMustComeAlong) {
  EXPECT_EQ(decision(with({"blk.0.ffn_gate.2.bias", "F32", {96}})),
            "only ffn_gate.2 has a bias, which engines would ignore");
  EXPECT_EQ(decision(with({"blk.0.ffn_gate.5.scale", "F32", {1}})), "ffn_gate.5 has a .scale of its own");
  EXPECT_EQ(decision(with({"blk.0.ffn_gate.5.input_scale", "F32", {1}})), "ffn_gate.5 has a .input_scale of its own");
  const RandomModel biased = RandomModel("gpt-oss").unstacked();
  EXPECT_EQ(decision(biased), "llama.cpp has no place for biases");
  EXPECT_EQ(decision(biased, RuleId::StackGate, Target::GgufFuse), "fused");
  EXPECT_EQ(decision(apart().prec_a4({{"blk.0.ffn_gate.1.weight", false}})),
            "general.tensor_extra.prec_a4 asks for different activations");
}

TEST(StackLegality, NothingStandsTwice) {
  EXPECT_EQ(decision(with({"blk.0.ffn_gate_exps.weight", "Q4_0", {64, 96, 8}})),
            "ffn_gate_exps is there already, beside its parts");
}

// One part whose rows lie in one piece, and one whose rows lie in many: no record tells both.
TEST(StackLegality, GateIsStackedAndUpIsNot) {
  const RandomModel mixed = apart().edit([](std::vector<TensorSpec>& table) {
    std::erase_if(table, [](const TensorSpec& spec) { return spec.name.starts_with("blk.0.ffn_up."); });
    table.push_back({"blk.0.ffn_up_exps.weight", "Q4_0", {64, 96, 8}});
  });
  EXPECT_EQ(decision(mixed, RuleId::GateUpExperts, Target::GgufFuse),
            "only ffn_gate_exps comes in a tensor for each matrix");
  EXPECT_EQ(decision(mixed), "fused");
}

TEST(StackLegality, EnginesAreAsked) {
  EXPECT_THAT(decision(RandomModel("frobnicator").experts(2).unstacked()), HasSubstr("not known to read"));
  for (const ArchitectureRow& row : architectures()) {
    EXPECT_EQ(row.mainline_stacks == Support::Required || row.mainline_stacks == Support::Yes,
              row.mainline_experts != Support::Unknown && row.mainline_experts != Support::None)
        << row.name;
  }
  EXPECT_EQ(support(Target::LlamaCpp, "llama", RuleId::StackDown), Support::Required);
  EXPECT_EQ(support(Target::IkLlamaCpp, "llama", RuleId::StackDown), Support::Yes);
}

TEST(StackLegality, ThousandsOfExperts) {
  const Bytes file =
      RandomModel("llama").layers(1).embedding(32).heads(2, 1, 16).experts(3000, 2, 32).unstacked().build();
  EXPECT_EQ(decision(file, RuleId::GateUpExperts, Target::GgufFuse), "fused");
  const Bytes more =
      with_key(file, "llama.expert_count", [](HeaderWriter& w) { w.add_u32("llama.expert_count", 3001); });
  EXPECT_EQ(decision(more), "has ffn_gate.{0..2999} but no ffn_gate.3000");
}

TEST(PartNames, AreShort) {
  EXPECT_EQ(join_names(std::vector<std::string>{"a.1", "b", "c.7", "a.0", "a.3"}), "a.{0..1,3}, b, c.7");
  EXPECT_EQ(join_names({}), "");
  std::vector<std::string> odd;
  for (int i = 1; i < 40; i += 2) odd.push_back("e." + std::to_string(i));
  EXPECT_EQ(join_names(odd), "e.{1,3,5,7,9,11,13,15,...}");
  for (const char* name : {"plain", "a.", "a.01", "a.1b", "a.-1", "a.4294967296"})
    EXPECT_FALSE(split_number(name)) << name;
  EXPECT_EQ(split_number("a.b.0")->base, "a.b");
}

class StackRecord : public ::testing::Test {
 protected:
  static Bytes honest() {
    return support::fuse(RandomModel("llama").layers(1).experts(2).type("Q4_0").unstacked().build(),
                         {.target = Target::GgufFuse, .qkv = false});
  }
  /// Whoever reads the file with `values` of `key` refuses it.
  template <typename T>
  void expect_refused(const std::string& key, const std::vector<T>& values) {
    SCOPED_TRACE(key + " " + testing::PrintToString(values));
    const Bytes file = with_key(honest(), key, [&](HeaderWriter& writer) {
      if constexpr (std::is_same_v<T, std::string_view>) writer.add_string_array(key, values);
      if constexpr (std::is_same_v<T, std::uint32_t>) writer.add_u32_array(key, values);
      if constexpr (std::is_same_v<T, std::uint64_t>) writer.add_u64_array(key, values);
    });
    const Model model = model_of(file);
    for (const auto& plan : {plan_unfuse(model.info), plan_fuse(model.info), plan_compare(model.info, model.info)}) {
      ASSERT_FALSE(plan);
      EXPECT_EQ(error_name(plan.error().code), "BadRecord") << plan.error().message();
    }
  }
};

using Names = std::vector<std::string_view>;
using Counts = std::vector<std::uint32_t>;
using Sizes = std::vector<std::uint64_t>;

TEST_F(StackRecord, LiesAreRefused) {
  ASSERT_TRUE(plan_unfuse(model_of(honest()).info));
  const std::string_view gate_up = "blk.0.ffn_gate_up_exps.weight", down = "blk.0.ffn_down_exps.weight";
  const std::string stacked = "gguf_fuse.stacked", rows = "gguf_fuse.part.rows", counts = "gguf_fuse.part.counts";
  const std::uint64_t huge = std::uint64_t{1} << 63;
  expect_refused(stacked, Names{});
  expect_refused(stacked, Names{gate_up});
  expect_refused(stacked, Names{gate_up, down, down});
  expect_refused(stacked, Names{gate_up, gate_up});
  expect_refused(stacked, Names{gate_up, down, "output_norm.weight"});
  expect_refused(stacked, Names{gate_up, "no.such.tensor"});
  expect_refused(stacked, Names(1000, gate_up));
  expect_refused(counts, Counts{5, 1, 1});
  expect_refused(counts, Counts{0xffffffffU, 7});
  expect_refused(rows, Sizes{96, 96, 96, 97, 64, 64});
  expect_refused(rows, Sizes{96, 96, 96, 95, 64, 64});
  expect_refused(rows, Sizes{huge, huge, 192, 192, 64, 64});
  expect_refused(rows, Sizes{~std::uint64_t{0}, 1, 192, 192, 64, 64});
  expect_refused("gguf_fuse.part.indices", Counts{8, 8, 11, 12, 10, 13});
  expect_refused("gguf_fuse.part.names", Names{"a", "b", "c", "c", "d", "e"});
  expect_refused("gguf_fuse.part.names", Names(200'000, "a"));
}

// Where the parts of a stack end is the record's own business: bytes come back as it says, and none is lost.
TEST_F(StackRecord, PartsOfOtherSizes) {
  for (const Sizes& sizes : {Sizes{1, 191, 100, 92, 0, 128}, Sizes{384, 0, 0, 0, 128, 0}}) {
    const Bytes file = with_key(honest(), "gguf_fuse.part.rows",
                                [&](HeaderWriter& writer) { writer.add_u64_array("gguf_fuse.part.rows", sizes); });
    Model model = model_of(file);
    const Model back = model_of(run_plan(value_of(plan_unfuse(model.info)), model));
    EXPECT_EQ(back.info.shards.front().tensors[8].dims[1], sizes[0]);
    const Plan same = value_of(plan_compare(model.info, model.info));
    EXPECT_TRUE(compare(same, model, model.sources));
  }
}

TEST_F(StackRecord, ANewerOneIsNotGuessedAt) {
  const Bytes file =
      with_key(honest(), "gguf_fuse.version", [](HeaderWriter& writer) { writer.add_u32("gguf_fuse.version", 4); });
  EXPECT_THAT(plan_unfuse(model_of(file).info).error().message(), HasSubstr("a newer gguf-fuse made this file"));
}

}  // namespace
}  // namespace gguf_fuse::fuse
