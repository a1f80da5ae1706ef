// SPDX-License-Identifier: MIT
// Scales beside Q, K and V: equal ones become one, which llama.cpp reads, and the way back makes three of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>

#include "gguf_fuse/fuse/convert.hpp"
#include "support/file_util.hpp"
#include "support/memory_sink.hpp"
#include "support/random_model.hpp"
#include "support/rewrite.hpp"
#include "support/temp_dir.hpp"

namespace gguf_fuse::fuse {
namespace {

using support::Bytes;
using support::model_of;
using support::Pieces;
using support::RandomModel;
using support::read_file;
using support::TensorSpec;
using support::value_of;
using support::write_file;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

constexpr const char* kParts[] = {"attn_q", "attn_k", "attn_v"};

RandomModel small(const char* architecture = "llama") {
  return RandomModel(architecture).embedding(64).heads(4, 2, 16).feed_forward(128).type("NVFP4");
}

/// Q, K and V with equal scales in each layer, of more than one value.
RandomModel scaled(RandomModel model = small()) {
  for (std::uint32_t layer = 0; layer < 2; ++layer) {
    for (const char* part : kParts)
      model.scale(part, layer, "scale", 0.5F + static_cast<float>(layer)).scale(part, layer, "input_scale", 3.0F);
  }
  return model;
}

Plan plan_of(const RandomModel& random, FuseOptions options = {}) {
  const Bytes file = random.build();
  Model model = model_of(file);
  options.scales = value_of(read_scales(model));
  return value_of(plan_fuse(model.info, options));
}

std::string decision(const RandomModel& random, RuleId rule = RuleId::Qkv, FuseOptions options = {}) {
  for (const Decision& item : plan_of(random, std::move(options)).decisions) {
    if (item.rule == rule && item.layer == 0) return item.fused() ? "fused" : item.reason.text();
  }
  return "no decision";
}

std::vector<std::string> scales_of(const Bytes& file) {
  std::vector<std::string> names;
  for (const TensorSpec& tensor : Pieces::of(file).tensors) {
    if (tensor.name.ends_with("scale")) names.push_back(tensor.name);
  }
  return names;
}

TEST(Scales, OnlyEqualOnesBecomeOne) {
  EXPECT_EQ(decision(scaled()), "fused");
  EXPECT_EQ(
      decision(small().scale("attn_q", 0, "scale", 2).scale("attn_k", 0, "scale", 2).scale("attn_v", 0, "scale", 2)),
      "fused");
  const auto other = [](const char* part, float value, const char* suffix = "scale") {
    return scaled().edit([=](std::vector<TensorSpec>& table) {
      for (TensorSpec& spec : table) {
        if (spec.name == std::string("blk.0.") + part + "." + suffix)
          std::memcpy(spec.data.data(), &value, sizeof value);
      }
    });
  };
  EXPECT_EQ(decision(other("attn_k", 0.5F)), "fused");
  EXPECT_EQ(decision(other("attn_k", 0.25F)), "attn_k.scale is another one than attn_q.scale");
  EXPECT_EQ(decision(other("attn_v", -0.5F)), "attn_v.scale is another one than attn_q.scale");
  EXPECT_EQ(decision(other("attn_v", 2.0F, "input_scale")),
            "attn_v.input_scale is another one than attn_q.input_scale");
  EXPECT_EQ(decision(other("attn_k", 0.25F), RuleId::Qkv, {.target = Target::GgufFuse}), "fused");
}

TEST(Scales, OthersForbid) {
  EXPECT_THAT(decision(small().scale("attn_k")), HasSubstr("attn_k has a .scale of its own"));
  EXPECT_THAT(decision(scaled(RandomModel("llama"))), HasSubstr("attn_q has a .scale of its own"));
  EXPECT_THAT(decision(scaled().tensor({"blk.0.attn_qkv.scale", "F32", {1}})), HasSubstr("attn_q has a .scale"));
  EXPECT_THAT(
      decision(small("granite_swa").experts(4).scale("ffn_gate_exps").scale("ffn_up_exps"), RuleId::GateUpExperts),
      HasSubstr("ffn_gate_exps has a .scale of its own"));
  EXPECT_THAT(decision(scaled(small("gemma4"))), HasSubstr("ignores the scale of attn_qkv"));
  const auto reshaped = [](const std::string& type, std::vector<std::uint64_t> dims) {
    return scaled().edit([=](std::vector<TensorSpec>& table) {
      for (TensorSpec& spec : table) {
        if (spec.name == "blk.0.attn_v.scale") spec = {spec.name, type, dims};
      }
    });
  };
  EXPECT_THAT(decision(reshaped("F32", {2})), HasSubstr("attn_q has a .scale of its own"));
  EXPECT_THAT(decision(reshaped("F32", {1, 1})), HasSubstr("attn_q has a .scale of its own"));
  EXPECT_THAT(decision(reshaped("F16", {1})), HasSubstr("attn_q has a .scale of its own"));
}

TEST(Scales, NotReadAreNotKnownToBeEqual) {
  const auto plan = value_of(plan_fuse(model_of(scaled().build()).info));
  for (const Decision& item : plan.decisions) {
    if (item.rule != RuleId::Qkv) continue;
    EXPECT_EQ(item.reason.text(), "the .scale of attn_q, attn_k, attn_v come in a stream, and may differ");
  }
}

class ScalesOfFiles : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return folder_.file(name); }
  ConvertReport make(const std::string& from, const std::string& to, Direction direction = Direction::Fuse,
                     const FuseOptions& options = {}) {
    return value_of(
        convert({.input = path(from), .output = path(to), .direction = direction, .fuse = options, .replace = true}));
  }
  void expect_the_way_back(const std::string& fused, const std::string& original) {
    EXPECT_EQ(make(fused, "back.gguf", Direction::Unfuse).restored, Restores::Original);
    EXPECT_EQ(read_file(path("back.gguf")), read_file(path(original)));
  }
  support::TempDir folder_;
};

TEST_F(ScalesOfFiles, ComeBackByteForByte) {
  const auto moved = [](bool to_the_end) {
    return scaled().edit([=](std::vector<TensorSpec>& table) {
      std::stable_partition(table.begin(), table.end(),
                            [=](const TensorSpec& spec) { return spec.name.ends_with("scale") != to_the_end; });
    });
  };
  for (const RandomModel& model : {scaled(), moved(true), moved(false), scaled().version(2), scaled().big_endian(),
                                   scaled().alignment(64).unpadded_end(), scaled().scale("ffn_down")}) {
    model.write(path("in.gguf"));
    make("in.gguf", "fused.gguf");
    EXPECT_EQ(scales_of(read_file(path("fused.gguf"))).size() + 8, scales_of(read_file(path("in.gguf"))).size());
    expect_the_way_back("fused.gguf", "in.gguf");
    EXPECT_TRUE(verify(path("fused.gguf"), path("in.gguf")));
    EXPECT_TRUE(verify(path("in.gguf"), path("fused.gguf")));
    EXPECT_TRUE(verify(path("fused.gguf"), path("fused.gguf")));
  }
}

TEST_F(ScalesOfFiles, AreOneInTheLayersThatAreFused) {
  scaled().write(path("in.gguf"));
  make("in.gguf", "fused.gguf", Direction::Fuse, {.layers = std::pair(1U, 1U)});
  EXPECT_THAT(scales_of(read_file(path("fused.gguf"))),
              UnorderedElementsAre("blk.0.attn_q.scale", "blk.0.attn_k.scale", "blk.0.attn_v.scale",
                                   "blk.0.attn_q.input_scale", "blk.0.attn_k.input_scale", "blk.0.attn_v.input_scale",
                                   "blk.1.attn_qkv.scale", "blk.1.attn_qkv.input_scale"));
  expect_the_way_back("fused.gguf", "in.gguf");
  make("in.gguf", "none.gguf", Direction::Fuse, {.qkv = false});
  EXPECT_EQ(scales_of(read_file(path("none.gguf"))).size(), 12U);
}

TEST_F(ScalesOfFiles, ComeBackToTheirShards) {
  const std::vector<std::string> shards = support::write_shards(path("in"), scaled().build_shards(4));
  value_of(convert({.input = shards.front(), .output = path("fused.gguf")}));
  const auto report =
      value_of(convert({.input = path("fused.gguf"), .output = path("back.gguf"), .direction = Direction::Unfuse}));
  EXPECT_EQ(report.restored, Restores::Original);
  ASSERT_EQ(report.outputs.size(), shards.size());
  for (std::size_t i = 0; i < shards.size(); ++i) EXPECT_EQ(read_file(report.outputs[i]), read_file(shards[i])) << i;
}

TEST_F(ScalesOfFiles, OfAStreamStayApartUnlessItsRecordKnows) {
  scaled().write(path("in.gguf"));
  make("in.gguf", "fused.gguf");
  for (const char* name : {"in.gguf", "fused.gguf"}) {
    const auto sink = gzip_sink(value_of(file_sink(path(std::string(name) + ".gz"), {})));
    value_of(sink->write_at(0, read_file(path(name))));
    value_of(sink->commit());
  }
  make("in.gguf.gz", "apart.gguf");
  EXPECT_EQ(read_file(path("apart.gguf")), read_file(path("in.gguf")));
  make("fused.gguf.gz", "again.gguf");
  EXPECT_EQ(read_file(path("again.gguf")), read_file(path("fused.gguf")));
  expect_the_way_back("fused.gguf.gz", "in.gguf");
  EXPECT_TRUE(verify(path("fused.gguf.gz"), path("in.gguf")));
  EXPECT_TRUE(verify(path("fused.gguf"), path("in.gguf.gz")));
  EXPECT_TRUE(verify(path("in.gguf.gz"), path("fused.gguf.gz")));
  make("in.gguf", "piped.gguf.gz");
  expect_the_way_back("piped.gguf.gz", "in.gguf");
}

TEST_F(ScalesOfFiles, AreTakenApartAndJoinedForOtherTargets) {
  scaled().write(path("in.gguf"));
  make("in.gguf", "llama.gguf");
  make("in.gguf", "own.gguf", Direction::Fuse, {.target = Target::GgufFuse});
  EXPECT_EQ(scales_of(read_file(path("own.gguf"))).size(), 12U);
  make("llama.gguf", "to_own.gguf", Direction::Fuse, {.target = Target::GgufFuse});
  EXPECT_EQ(read_file(path("to_own.gguf")), read_file(path("own.gguf")));
  expect_the_way_back("to_own.gguf", "in.gguf");
  make("llama.gguf", "to_llama.gguf");
  EXPECT_EQ(read_file(path("to_llama.gguf")), read_file(path("llama.gguf")));
  expect_the_way_back("to_llama.gguf", "in.gguf");
}

TEST_F(ScalesOfFiles, ThatChangedAreNoticed) {
  scaled().write(path("in.gguf"));
  make("in.gguf", "fused.gguf");
  Pieces pieces = Pieces::of(read_file(path("fused.gguf")));
  pieces.tensor("blk.0.attn_qkv.scale").data[1] ^= std::byte{1};
  write_file(path("changed.gguf"), pieces.build());
  EXPECT_THAT(make("changed.gguf", "back.gguf", Direction::Unfuse).changed_tensors,
              UnorderedElementsAre("blk.0.attn_q.scale", "blk.0.attn_k.scale", "blk.0.attn_v.scale"));
  for (const char* part : kParts) {
    Pieces original = Pieces::of(read_file(path("in.gguf")));
    original.tensor(std::string("blk.1.") + part + ".scale").data[1] ^= std::byte{1};
    write_file(path("other.gguf"), original.build());
    const auto there = verify(path("fused.gguf"), path("other.gguf"));
    ASSERT_FALSE(there) << part;
    EXPECT_EQ(there.error().code, ErrorCode::TensorsDiffer);
    EXPECT_FALSE(verify(path("other.gguf"), path("fused.gguf"))) << part;
  }
}

TEST_F(ScalesOfFiles, AreComparedWithoutARecord) {
  scaled().write(path("in.gguf"));
  make("in.gguf", "fused.gguf");
  Pieces pieces = Pieces::of(read_file(path("fused.gguf")));
  pieces.drop_keys("gguf_fuse.");
  write_file(path("bare.gguf"), pieces.build());
  EXPECT_TRUE(verify(path("bare.gguf"), path("in.gguf")));
  EXPECT_TRUE(verify(path("in.gguf"), path("bare.gguf")));
  pieces.tensor("blk.0.attn_qkv.scale").data[1] ^= std::byte{1};
  write_file(path("bare.gguf"), pieces.build());
  EXPECT_FALSE(verify(path("bare.gguf"), path("in.gguf")));
}

// A record that makes more of a tensor than one number.
TEST_F(ScalesOfFiles, AreNothingElseInARecord) {
  scaled().write(path("in.gguf"));
  make("in.gguf", "fused.gguf");
  const Bytes fused = read_file(path("fused.gguf"));
  const auto outcome = [](const Bytes& file) {
    const auto plan = plan_unfuse(model_of(file).info);
    return plan ? std::string("unfuses") : plan.error().message();
  };
  ASSERT_EQ(outcome(fused), "unfuses");
  for (const char* type : {"F16", "I32"}) {
    Pieces pieces = Pieces::of(fused);
    TensorSpec& scale = pieces.tensor("blk.0.attn_qkv.scale");
    scale = {scale.name, type, {1}};
    EXPECT_THAT(outcome(pieces.build()), HasSubstr("gguf_fuse.part.rows")) << type;
  }
  Pieces pieces = Pieces::of(fused);
  TensorSpec& scale = pieces.tensor("blk.0.attn_qkv.scale");
  scale = {scale.name, "F32", {2}};
  EXPECT_THAT(outcome(pieces.build()), HasSubstr("gguf_fuse.part.rows"));
  Pieces without = Pieces::of(fused);
  without.drop_keys("gguf_fuse.stacked");
  EXPECT_THAT(outcome(without.build()), HasSubstr("gguf_fuse.stacked"));
}

}  // namespace
}  // namespace gguf_fuse::fuse
