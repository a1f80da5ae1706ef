// SPDX-License-Identifier: MIT
#include "gguf_fuse/fuse/plan.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "gguf_fuse/loader/header_writer.hpp"
#include "support/memory_sink.hpp"
#include "support/random_model.hpp"

namespace gguf_fuse::fuse {
namespace {

using support::any_model;
using support::fuse;
using support::model_of;
using support::RandomModel;
using support::run_plan;
using support::unfuse;
using support::value_of;
using Bytes = std::vector<std::byte>;

Bytes tensor_bytes_of(const Bytes& file, const TensorInfo& tensor, const Container& container) {
  const auto begin = file.begin() + static_cast<std::ptrdiff_t>(container.data_offset + tensor.offset);
  return {begin, begin + static_cast<std::ptrdiff_t>(tensor.bytes)};
}

// Every tensor of `expected` is in `actual` with the same type, shape and bytes, and there is no other.
void expect_same_tensors(const Bytes& actual, const Bytes& expected) {
  const Model left = model_of(actual);
  const Model right = model_of(expected);
  const Container& a = left.info.shards.front();
  const Container& b = right.info.shards.front();
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (const TensorInfo& wanted : b.tensors) {
    const auto found =
        std::find_if(a.tensors.begin(), a.tensors.end(), [&](const TensorInfo& t) { return t.name == wanted.name; });
    ASSERT_NE(found, a.tensors.end()) << wanted.name;
    EXPECT_EQ(found->type, wanted.type) << wanted.name;
    EXPECT_EQ(found->dims, wanted.dims) << wanted.name;
    EXPECT_EQ(found->dimension_count, wanted.dimension_count) << wanted.name;
    EXPECT_TRUE(tensor_bytes_of(actual, *found, a) == tensor_bytes_of(expected, wanted, b)) << wanted.name;
  }
}

TEST(Plan, QkvOfLlama) {
  expect_same_tensors(fuse(RandomModel("llama").build()), fuse(RandomModel("llama").fused(RuleId::Qkv).build()));
  const Model model = model_of(fuse(RandomModel("llama").build()));
  EXPECT_TRUE(model.info.metadata().find("gguf_fuse.version"));
}

TEST(Plan, FusedTensorsEqualThoseMadeByHand) {
  struct Case {
    std::string architecture;
    Target target;
    std::vector<RuleId> fused;
  };
  const std::vector<Case> cases = {
      {"llama", Target::LlamaCpp, {RuleId::Qkv}},
      {"granite_swa", Target::LlamaCpp, {RuleId::GateUpExperts, RuleId::Qkv}},
      {"qwen3moe", Target::LlamaCpp, {RuleId::Qkv}},
      {"qwen3moe", Target::IkLlamaCpp, {RuleId::GateUpExperts}},
      {"qwen3moe", Target::GgufFuse, {RuleId::GateUpExperts, RuleId::Qkv}},
      {"qwen3moe", Target::Both, {}},
      {"qwen35moe", Target::Both, {RuleId::GateUpExperts}},
      {"gpt-oss", Target::LlamaCpp, {RuleId::Qkv}},
      {"gpt-oss", Target::IkLlamaCpp, {}},
      {"gpt-oss", Target::GgufFuse, {RuleId::GateUpExperts, RuleId::Qkv}},
      {"llama", Target::GgufFuse, {RuleId::GateUpDense, RuleId::Qkv}},
      {"llama", Target::IkLlamaCpp, {}},
  };
  for (const Case& item : cases) {
    SCOPED_TRACE(item.architecture + " for " + std::string(target_name(item.target)));
    RandomModel model(item.architecture);
    const Bytes separate = model.build();
    for (const RuleId id : item.fused) model.fused(id);
    const Bytes actual = fuse(separate, {.target = item.target});
    expect_same_tensors(actual, model.build());
    EXPECT_TRUE((item.fused.empty() ? actual : unfuse(actual)) == separate);
  }
}

TEST(Plan, AnyModelSurvivesTheRoundTripForEveryTarget) {
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    const Bytes original = any_model(seed).build();
    for (const TargetRow& target : targets()) {
      SCOPED_TRACE("seed " + std::to_string(seed) + " for " + std::string(target.name));
      Model model = model_of(original);
      const auto plan = plan_fuse(model.info, {.target = target.target});
      ASSERT_TRUE(plan) << plan.error().message();
      const Bytes fused = run_plan(*plan, model).at(0);
      ASSERT_TRUE(plan->fused_count() != 0 || fused == original);
      Model again = model_of(fused);
      const auto back = plan_unfuse(again.info);
      if (plan->fused_count() != 0) {
        ASSERT_TRUE(back) << back.error().message();
        ASSERT_TRUE(run_plan(*back, again).at(0) == original);
      }
      // Fusing again, for any target, starts from the original.
      const Bytes everything = fuse(fused, {.target = Target::GgufFuse});
      ASSERT_TRUE(everything == fuse(original, {.target = Target::GgufFuse}));
    }
  }
}

TEST(Plan, ComparingFindsEveryTensorAndEveryChangedByte) {
  const Bytes original = RandomModel("qwen35moe").layers(4).build();
  Bytes fused = fuse(original);
  const auto equal = [&](const Bytes& derived) {
    Model left = model_of(derived);
    Model right = model_of(original);
    const Plan plan = value_of(plan_compare(left.info, right.info));
    return compare(plan, right, left.sources).has_value();
  };
  EXPECT_TRUE(equal(fused));
  EXPECT_TRUE(equal(original));
  const Model model = model_of(fused);
  const Container& container = model.info.shards.front();
  for (const TensorInfo& tensor : container.tensors) {
    for (const std::uint64_t at : {std::uint64_t{0}, tensor.bytes / 2, tensor.bytes - 1}) {
      std::byte& changed = fused[container.data_offset + tensor.offset + at];
      changed ^= std::byte{1};
      EXPECT_FALSE(equal(fused)) << tensor.name << " byte " << at;
      changed ^= std::byte{1};
    }
  }
}

TEST(Plan, ComparingNamesWhatIsMissing) {
  const Bytes original = RandomModel("llama").build();
  const Bytes less = RandomModel("llama").drop("ffn_norm", 1).build();
  const auto plan = plan_compare(model_of(less).info, model_of(original).info);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, ErrorCode::TensorsDiffer);
  EXPECT_EQ(plan.error().subject, "blk.1.ffn_norm.weight");
}

TEST(Plan, ComparingWorksWithoutARecord) {
  const Bytes separate = RandomModel("granite_swa").build();
  const Bytes fused = RandomModel("granite_swa").fused(RuleId::Qkv).fused(RuleId::GateUpExperts).build();
  for (const auto& [derived, original] : {std::pair(fused, separate), std::pair(separate, fused)}) {
    Model left = model_of(derived);
    Model right = model_of(original);
    const Plan plan = value_of(plan_compare(left.info, right.info));
    EXPECT_TRUE(compare(plan, right, left.sources));
  }
}

TEST(Plan, OnlyAndLayersSelect) {
  const Bytes file = RandomModel("granite_swa").layers(4).build();
  const Plan qkv = value_of(plan_fuse(model_of(file).info, {.gate_up = false}));
  const Plan gate_up = value_of(plan_fuse(model_of(file).info, {.qkv = false}));
  const Plan middle = value_of(plan_fuse(model_of(file).info, {.layers = std::pair(1U, 2U)}));
  for (const Decision& d : qkv.decisions) EXPECT_EQ(d.fused(), d.rule == RuleId::Qkv) << d.reason.text();
  for (const Decision& d : gate_up.decisions) EXPECT_EQ(d.fused(), d.rule == RuleId::GateUpExperts) << d.reason.text();
  EXPECT_EQ(middle.fused_count(), 4U);
}

TEST(Plan, ActivationFlagsFollowTheNames) {
  const auto names = [](const Bytes& file) {
    const Model model = model_of(file);
    const auto list = value_of(model.info.metadata().get_string_array("general.tensor_extra.name"));
    return std::vector<std::string>(list.begin(), list.end());
  };
  const std::vector<std::string> separate = {"output.weight", "blk.0.attn_q.weight", "blk.0.attn_k.weight",
                                             "blk.0.attn_v.weight"};
  const std::vector<std::string> fused = {"output.weight", "blk.0.attn_qkv.weight"};
  const auto model = [](const std::vector<std::string>& list) {
    std::vector<std::pair<std::string, bool>> entries;
    for (const std::string& name : list) entries.emplace_back(name, false);
    return RandomModel("llama").prec_a4(entries);
  };
  EXPECT_EQ(names(fuse(model(separate).build())), fused);
  EXPECT_EQ(names(unfuse(fuse(model(separate).build()))), separate);
  EXPECT_EQ(names(unfuse(model(fused).fused(RuleId::Qkv).build())), separate) << "without a record";
}

TEST(Plan, AHeaderAloneIsCopiedAsItIs) {
  HeaderWriter writer;
  writer.add_string("general.architecture", "llama");
  Bytes header = writer.finish();
  header.resize(24 + 8 + 20 + 4 + 8 + 5);  // counts, key, type, value: no padding
  EXPECT_TRUE(fuse(header) == header);
}

TEST(Plan, FusingIsAPureFunction) {
  const Bytes file = RandomModel("qwen3moe").build();
  EXPECT_TRUE(fuse(file) == fuse(file));
}

TEST(Plan, FusedTensorStandsWhereItsFirstPartStood) {
  const Model before = model_of(RandomModel("llama").build());
  const Plan plan = value_of(plan_fuse(before.info));
  std::vector<std::string> expected;
  for (const TensorInfo& tensor : before.info.shards.front().tensors) {
    std::string name(tensor.name);
    for (const std::string_view part : {"attn_q.", "attn_k.", "attn_v."}) {
      if (const auto at = name.find(part); at != std::string::npos) name = name.substr(0, at) + "attn_qkv.weight";
    }
    if (std::find(expected.begin(), expected.end(), name) == expected.end()) expected.push_back(name);
  }
  std::vector<std::string> actual;
  for (const PlannedTensor& tensor : plan.files.front().tensors) actual.push_back(tensor.name);
  EXPECT_EQ(actual, expected);
}

}  // namespace
}  // namespace gguf_fuse::fuse
