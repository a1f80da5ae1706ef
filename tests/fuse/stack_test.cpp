// SPDX-License-Identifier: MIT
// Files with a tensor for each expert, as converters of 2023 wrote them: stacked, merged on, and taken apart again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <tuple>

#include "gguf_fuse/fuse/convert.hpp"
#include "support/file_util.hpp"
#include "support/memory_sink.hpp"
#include "support/random_model.hpp"
#include "support/rewrite.hpp"
#include "support/temp_dir.hpp"

namespace gguf_fuse::fuse {
namespace {

using support::any_model;
using support::Bytes;
using support::difference;
using support::fuse;
using support::model_of;
using support::Pieces;
using support::RandomModel;
using support::read_file;
using support::run_plan;
using support::unfuse;
using support::value_of;
using support::write_file;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

RandomModel mixture(std::uint32_t experts = 4) {
  return RandomModel("llama").experts(experts).type("Q4_0").type("ffn_gate_inp", "F16");
}
RandomModel apart(std::uint32_t experts = 4) { return mixture(experts).unstacked(); }

using Content = std::map<std::string, std::tuple<std::string, std::vector<std::uint64_t>, Bytes>>;

/// The tensors, however they are ordered.
Content content(const Bytes& file) {
  Content all;
  for (const support::TensorSpec& tensor : Pieces::of(file).tensors)
    all[tensor.name] = {tensor.type, tensor.dims, tensor.data};
  return all;
}

std::vector<std::string> strings(const Bytes& file, std::string_view key) {
  const Model model = model_of(file);
  const auto list = value_of(model.info.metadata().get_string_array(key));
  return {list.begin(), list.end()};
}

std::vector<std::uint64_t> numbers(const Bytes& file, std::string_view key) {
  return value_of(model_of(file).info.metadata().get_unsigned_array(key));
}

TEST(Stack, EqualsWhatIsStackedByHand) {
  struct Case {
    Target target;
    std::vector<RuleId> fused;
  };
  for (const std::uint32_t experts : {1U, 2U, 4U, 8U}) {
    for (const Case& item : {Case{Target::LlamaCpp, {RuleId::Qkv}}, Case{Target::IkLlamaCpp, {}},
                             Case{Target::Both, {}}, Case{Target::GgufFuse, {RuleId::GateUpExperts, RuleId::Qkv}}}) {
      SCOPED_TRACE(std::to_string(experts) + " for " + std::string(target_name(item.target)));
      RandomModel expected = mixture(experts);
      for (const RuleId id : item.fused) expected.fused(id);
      const Bytes original = apart(experts).build();
      const Bytes fused = fuse(original, {.target = item.target});
      EXPECT_TRUE(content(fused) == content(expected.build()));
      EXPECT_TRUE(unfuse(fused) == original);
    }
  }
}

TEST(Stack, EveryTypeAndBiasesSurviveTheRoundTrip) {
  for (const char* type : {"F32", "F16", "Q8_0", "Q4_K", "Q4_K_R4", "IQ4_KS"}) {
    const Bytes original = RandomModel("llama").wide().experts(4).type(type).unstacked().build();
    const Bytes fused = fuse(original, {.target = Target::GgufFuse});
    EXPECT_TRUE(fused != original) << type;
    EXPECT_TRUE(unfuse(fused) == original) << type;
  }
  const Bytes biased = RandomModel("gpt-oss").unstacked().build();
  const Bytes fused = fuse(biased, {.target = Target::GgufFuse});
  const Bytes expected = RandomModel("gpt-oss").fused(RuleId::GateUpExperts).fused(RuleId::Qkv).build();
  EXPECT_TRUE(content(fused) == content(expected));
  EXPECT_TRUE(unfuse(fused) == biased);
}

TEST(Stack, AnyModelSurvivesTheRoundTripForEveryTarget) {
  std::ptrdiff_t stacked = 0;
  for (std::uint64_t seed = 0; seed < 80; ++seed) {
    const Bytes original = any_model(seed).unstacked().build();
    const Bytes everything = fuse(original, {.target = Target::GgufFuse});
    for (const TargetRow& target : targets()) {
      SCOPED_TRACE("seed " + std::to_string(seed) + " for " + std::string(target.name));
      Model model = model_of(original);
      const Plan plan = value_of(plan_fuse(model.info, {.target = target.target}));
      const Bytes fused = run_plan(plan, model).at(0);
      stacked += std::count_if(plan.decisions.begin(), plan.decisions.end(),
                               [](const Decision& d) { return d.fused() && rule(d.rule).axis == Axis::Matrices; });
      ASSERT_TRUE((plan.fused_count() != 0 ? unfuse(fused) : fused) == original);
      ASSERT_TRUE(fuse(fused, {.target = Target::GgufFuse}) == everything);
    }
  }
  EXPECT_GT(stacked, 200);
}

TEST(Stack, IsRecordedFlat) {
  const Bytes fused = fuse(apart(2).layers(1).build(), {.target = Target::GgufFuse, .qkv = false});
  EXPECT_THAT(strings(fused, "gguf_fuse.fused"),
              ElementsAre("blk.0.ffn_gate_up_exps.weight", "blk.0.ffn_down_exps.weight"));
  EXPECT_THAT(strings(fused, "gguf_fuse.stacked"),
              ElementsAre("blk.0.ffn_gate_up_exps.weight", "blk.0.ffn_down_exps.weight"));
  EXPECT_THAT(strings(fused, "gguf_fuse.part.names"),
              ElementsAre("blk.0.ffn_gate.0.weight", "blk.0.ffn_up.0.weight", "blk.0.ffn_gate.1.weight",
                          "blk.0.ffn_up.1.weight", "blk.0.ffn_down.0.weight", "blk.0.ffn_down.1.weight"));
  EXPECT_THAT(numbers(fused, "gguf_fuse.part.counts"), ElementsAre(4, 2));
  EXPECT_THAT(numbers(fused, "gguf_fuse.part.rows"), ElementsAre(96, 96, 96, 96, 64, 64));
  EXPECT_THAT(numbers(fused, "gguf_fuse.part.indices"), ElementsAre(8, 9, 11, 12, 10, 13));
  EXPECT_EQ(value_of(model_of(fused).info.metadata().get_unsigned("gguf_fuse.version")), 3U);
}

TEST(Stack, WithoutOneTheRecordIsTheOldOne) {
  const Bytes fused = fuse(mixture().build());
  const Model model = model_of(fused);
  EXPECT_EQ(value_of(model.info.metadata().get_unsigned("gguf_fuse.version")), 2U);
  EXPECT_FALSE(model.info.metadata().find("gguf_fuse.stacked"));
}

TEST(Stack, WithoutARecordItStaysTogether) {
  EXPECT_EQ(plan_unfuse(model_of(mixture().build()).info).error().code, ErrorCode::NothingToUnfuse);
  const Plan plan = value_of(plan_fuse(model_of(mixture().build()).info));
  for (const Decision& decision : plan.decisions) EXPECT_NE(rule(decision.rule).axis, Axis::Matrices);
  // Of what was merged on top of a stack, the rules know the way back.
  const Bytes fused = fuse(apart().build(), {.target = Target::GgufFuse});
  const Bytes lost = support::with_key(fused, "gguf_fuse.stacked", nullptr);
  EXPECT_TRUE(content(unfuse(lost)) == content(mixture().build()));
}

TEST(Stack, OptionsSelect) {
  const Bytes original = apart().layers(3).build();
  const Model model = model_of(original);
  const Plan none = value_of(plan_fuse(model.info, {.target = Target::GgufFuse, .stack = false}));
  EXPECT_EQ(none.fused_count(), 3U) << "Q, K and V; there is no gate+up without a stack";
  const Plan stacked = value_of(plan_fuse(model.info, {.target = Target::GgufFuse, .gate_up = false, .qkv = false}));
  EXPECT_EQ(stacked.fused_count(), 9U);
  const Plan middle = value_of(plan_fuse(model.info, {.layers = std::pair(1U, 1U)}));
  EXPECT_EQ(middle.fused_count(), 4U);
  EXPECT_EQ(middle.warnings.size(), 3U) << "llama.cpp reads no such layers";
  EXPECT_TRUE(unfuse(fuse(original, {.layers = std::pair(1U, 1U)})) == original);
}

TEST(Stack, ComparesBothWaysWithEveryForm) {
  const std::vector<Bytes> forms = {apart().build(),
                                    mixture().build(),
                                    fuse(apart().build()),
                                    fuse(apart().build(), {.target = Target::GgufFuse}),
                                    fuse(mixture().build(), {.target = Target::GgufFuse}),
                                    mixture().fused(RuleId::GateUpExperts).build()};
  for (std::size_t i = 0; i < forms.size(); ++i) {
    for (std::size_t j = 0; j < forms.size(); ++j) {
      SCOPED_TRACE(std::to_string(i) + " with " + std::to_string(j));
      Model left = model_of(forms[i]);
      Model right = model_of(forms[j]);
      const Plan plan = value_of(plan_compare(left.info, right.info));
      EXPECT_TRUE(compare(plan, right, left.sources));
      Pieces damaged = Pieces::of(forms[i]);
      damaged.tensors[damaged.tensors.size() - 2].data.back() ^= std::byte{1};  // the last expert
      const Bytes damaged_file = damaged.build();
      Model other = model_of(damaged_file);
      EXPECT_FALSE(compare(value_of(plan_compare(other.info, right.info)), right, other.sources));
    }
  }
  const auto fewer = plan_compare(model_of(mixture().build()).info, model_of(apart(2).build()).info);
  EXPECT_EQ(fewer.error().code, ErrorCode::DifferentModels);
}

TEST(Stack, ActivationFlagsFollowTheNames) {
  const auto flagged = [](std::uint32_t count) {
    RandomModel model = apart(2).layers(1);
    std::vector<std::pair<std::string, bool>> entries;
    for (const char* part : {"gate", "up"}) {
      for (std::uint32_t e = 0; e < 2; ++e)
        entries.emplace_back("blk.0.ffn_" + std::string(part) + "." + std::to_string(e) + ".weight", false);
    }
    entries.resize(count);
    return model.prec_a4(entries).build();
  };
  const Bytes fused = fuse(flagged(4), {.target = Target::GgufFuse});
  EXPECT_THAT(strings(fused, "general.tensor_extra.name"), ElementsAre("blk.0.ffn_gate_up_exps.weight"));
  EXPECT_TRUE(unfuse(fused) == flagged(4));
  // What was asked for one stack alone is not asked for the other one's rows.
  const Plan plan = value_of(plan_fuse(model_of(flagged(2)).info, {.target = Target::GgufFuse}));
  for (const Decision& one : plan.decisions) {
    if (one.rule != RuleId::GateUpExperts) continue;
    EXPECT_THAT(one.reason.text(), HasSubstr("prec_a4"));
  }
}

class StackFiles : public ::testing::Test {
 protected:
  [[nodiscard]] std::string path(const std::string& name) const { return folder_.file(name); }
  [[nodiscard]] ConvertReport back(const std::string& input) const {
    return value_of(convert({.input = input,
                             .output = path("back.gguf"),
                             .direction = Direction::Unfuse,
                             .replace = true,
                             .strict = true}));
  }

  support::TempDir folder_;
};

TEST_F(StackFiles, TheOriginalIsProven) {
  apart().embedding(256).heads(8, 2, 32).feed_forward(640).type("F32").write(path("in.gguf"));
  for (const Target target : {Target::LlamaCpp, Target::GgufFuse}) {
    for (const unsigned threads : {1U, 3U}) {
      const ConvertReport fused = value_of(convert({.input = path("in.gguf"),
                                                    .output = path("fused.gguf"),
                                                    .fuse = {.target = target},
                                                    .replace = true,
                                                    .pipeline = {.threads = threads}}));
      EXPECT_TRUE(fused.verified);
      EXPECT_EQ(back(path("fused.gguf")).restored, Restores::Original);
      EXPECT_EQ(difference(path("in.gguf"), path("back.gguf")), "");
    }
    // Again for the same target: everything is as it was.
    const ConvertReport again = value_of(convert(
        {.input = path("fused.gguf"), .output = path("again.gguf"), .fuse = {.target = target}, .replace = true}));
    EXPECT_EQ(again.plan.fused_before, again.plan.fused_count());
    EXPECT_EQ(difference(path("again.gguf"), path("fused.gguf")), "");
  }
  Pieces damaged = Pieces::of(read_file(path("fused.gguf")));
  Bytes& gate_up = damaged.tensor("blk.1.ffn_gate_up_exps.weight").data;
  gate_up[gate_up.size() * 3 / 8] ^= std::byte{1};  // the first byte of the second expert's up
  write_file(path("fused.gguf"), damaged.build());
  const ConvertReport report = value_of(convert(
      {.input = path("fused.gguf"), .output = path("back.gguf"), .direction = Direction::Unfuse, .replace = true}));
  EXPECT_THAT(report.changed_tensors, ElementsAre("blk.1.ffn_up.1.weight"));
}

TEST_F(StackFiles, ShardsStreamsAndGzip) {
  const RandomModel model = apart(8);
  const auto names = support::write_shards(path("in"), model.build_shards(11));
  value_of(convert({.input = names.front(), .output = path("one.gguf"), .fuse = {.target = Target::GgufFuse}}));
  EXPECT_EQ(back(path("one.gguf")).restored, Restores::Original);
  for (std::size_t i = 0; i < names.size(); ++i)
    EXPECT_EQ(difference(names[i], shard_path(path("back"), i, names.size())), "");
  const ConvertReport kept =
      value_of(convert({.input = names.front(), .output = path("kept.gguf"), .fuse = {.split = {.keep = true}}}));
  EXPECT_GT(kept.outputs.size(), 1U);
  EXPECT_EQ(back(kept.outputs.front()).restored, Restores::Original);
  model.write(path("in.gguf"));
  const ConvertReport cut =
      value_of(convert({.input = path("in.gguf"), .output = path("cut.gguf"), .fuse = {.split = {.max_tensors = 6}}}));
  EXPECT_GT(cut.outputs.size(), 1U);
  EXPECT_EQ(back(cut.outputs.front()).restored, Restores::Original);
  EXPECT_EQ(difference(path("in.gguf"), path("back.gguf")), "");
  value_of(convert({.input = path("in.gguf"), .output = path("out.gguf.gz")}));
  EXPECT_EQ(back(path("out.gguf.gz")).restored, Restores::Original);
  value_of(convert({.input = path("in.gguf"), .output = path("expected.gguf")}));
  Model stream = value_of(open_model(std::make_unique<support::MemoryStream>(model.build())));
  std::vector<std::unique_ptr<Sink>> sinks;
  sinks.push_back(std::make_unique<support::MemorySink>());
  const Execution execution = value_of(execute(value_of(plan_fuse(stream.info)), stream, sinks));
  Plan plan = value_of(plan_fuse(stream.info));
  value_of(complete_record(plan, execution, nullptr));
  value_of(write_headers(plan, sinks));
  EXPECT_EQ(static_cast<const support::MemorySink&>(*sinks.front()).bytes(), read_file(path("expected.gguf")));
}

}  // namespace
}  // namespace gguf_fuse::fuse
