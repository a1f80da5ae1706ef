// SPDX-License-Identifier: MIT
// What the record promises, after the file went through other programs' hands.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gguf_fuse/fuse/convert.hpp"
#include "support/file_util.hpp"
#include "support/memory_sink.hpp"
#include "support/random_model.hpp"
#include "support/rewrite.hpp"
#include "support/temp_dir.hpp"

namespace gguf_fuse::fuse {
namespace {

using support::Bytes;
using support::difference;
using support::model_of;
using support::Pieces;
using support::RandomModel;
using support::read_file;
using support::TempDir;
using support::value_of;
using support::write_file;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Record : public ::testing::Test {
 protected:
  /// Fuses `model` and returns the fused file.
  Bytes fuse(const RandomModel& model, const FuseOptions& options = {}) {
    write_file(path("in.gguf"), model.build());
    value_of(convert({.input = path("in.gguf"), .output = path("fused.gguf"), .fuse = options, .replace = true}));
    return read_file(path("fused.gguf"));
  }
  ConvertRequest way_back(bool strict) const {
    return {.input = path("fused.gguf"),
            .output = path("back.gguf"),
            .direction = Direction::Unfuse,
            .replace = true,
            .strict = strict};
  }
  /// Unfuses what another program made of the fused file.
  ConvertReport unfuse(const Bytes& file) {
    write_file(path("fused.gguf"), file);
    return value_of(convert(way_back(false)));
  }
  /// The same with --strict: the error, and nothing is left behind.
  Error refusal(const Bytes& file) {
    write_file(path("fused.gguf"), file);
    std::filesystem::remove(path("back.gguf"));
    const auto done = convert(way_back(true));
    EXPECT_FALSE(std::filesystem::exists(path("back.gguf")));
    if (done) throw std::runtime_error("unfused, which was not expected");
    return done.error();
  }
  bool gave_back_the_original() const { return difference(path("in.gguf"), path("back.gguf")).empty(); }
  std::string path(const std::string& name) const { return folder_.file(name); }

  TempDir folder_;
};

RandomModel moe() { return RandomModel("granite_swa").embedding(256).heads(8, 2, 32).experts(4).feed_forward(640); }

TEST_F(Record, UntouchedItGivesTheOriginalBack) {
  for (const RandomModel& model : {moe(), RandomModel("llama").version(2), RandomModel("llama").big_endian(),
                                   RandomModel("qwen3").alignment(64).unpadded_end(),
                                   RandomModel("llama").bias("attn_q").bias("attn_k").bias("attn_v")}) {
    const Bytes fused = fuse(model);
    const ConvertReport report = unfuse(fused);
    EXPECT_EQ(report.restored, Restores::Original) << texts_of(report.unproven);
    EXPECT_TRUE(report.changed_tensors.empty());
    EXPECT_TRUE(gave_back_the_original());
    EXPECT_TRUE(convert(way_back(true)));
  }
}

TEST_F(Record, OneBitOfAWeight) {
  Pieces pieces = Pieces::of(fuse(moe()));
  support::Bytes& gate_up = pieces.tensor("blk.1.ffn_gate_up_exps.weight").data;
  // The first row of the first expert's up: half a matrix pair behind the begin.
  gate_up[gate_up.size() / 8] ^= std::byte{1};
  const ConvertReport report = unfuse(pieces.build());
  EXPECT_EQ(report.restored, Restores::Recorded);
  EXPECT_THAT(report.changed_tensors, ElementsAre("blk.1.ffn_up_exps.weight"));
  EXPECT_THAT(texts_of(report.unproven), HasSubstr("1 of "));
  EXPECT_FALSE(gave_back_the_original());
  const Error error = refusal(pieces.build());
  EXPECT_EQ(error.code, ErrorCode::NotOriginal);
  EXPECT_EQ(error.kind(), ErrorKind::Mismatch);
}

// Blocks have numbers, so that weights that change places do not go unnoticed.
TEST_F(Record, BlocksThatChangePlaces) {
  Pieces pieces = Pieces::of(fuse(moe().type("F32")));
  support::Bytes& down = pieces.tensor("blk.0.ffn_down_exps.weight").data;
  constexpr std::ptrdiff_t kBlock = 64 << 10;
  ASSERT_GT(down.size(), 3U * kBlock);
  std::swap_ranges(down.begin(), down.begin() + kBlock, down.begin() + kBlock);
  EXPECT_THAT(unfuse(pieces.build()).changed_tensors, ElementsAre("blk.0.ffn_down_exps.weight"));
}

TEST_F(Record, AMetadataKeyChanged) {
  const Bytes fused = fuse(moe());
  const auto write = [](HeaderWriter& writer) { writer.add_u32("granite_swa.context_length", 77); };
  const ConvertReport report = unfuse(support::with_key(fused, "granite_swa.context_length", write));
  EXPECT_EQ(report.restored, Restores::Recorded);
  EXPECT_THAT(texts_of(report.unproven), HasSubstr("metadata"));
  EXPECT_TRUE(report.changed_tensors.empty());
  EXPECT_EQ(refusal(read_file(path("fused.gguf"))).code, ErrorCode::NotOriginal);
}

// What is left by a program that cuts a file and one that joins it: the same tensors, and keys of a split.
TEST_F(Record, SplitAndMergedElsewhere) {
  Pieces pieces = Pieces::of(fuse(moe()));
  pieces.keys.push_back({"split.no", ValueType::U16, Bytes(2)});
  pieces.keys.push_back({"split.count", ValueType::U16, Bytes(2)});
  pieces.keys.push_back({"split.tensors.count", ValueType::I32, Bytes(4)});
  const ConvertReport report = unfuse(pieces.build());
  EXPECT_EQ(report.restored, Restores::Original) << texts_of(report.unproven);
  EXPECT_TRUE(gave_back_the_original());
}

TEST_F(Record, QuantisedElsewhere) {
  Pieces pieces = Pieces::of(fuse(moe().type("F32")));
  support::TensorSpec& qkv = pieces.tensor("blk.0.attn_qkv.weight");
  qkv.type = "Q8_0";
  qkv.data.clear();
  const ConvertReport report = unfuse(pieces.build());
  EXPECT_EQ(report.restored, Restores::Recorded);
  EXPECT_THAT(report.changed_tensors, ElementsAre("blk.0.attn_q.weight", "blk.0.attn_k.weight", "blk.0.attn_v.weight"));
  EXPECT_THAT(texts_of(report.unproven), HasSubstr("metadata"));
}

Bytes version_1(const Bytes& fused) {
  Pieces pieces = Pieces::of(fused);
  pieces.drop_keys("gguf_fuse.original.");
  return support::with_key(pieces.build(), "gguf_fuse.version",
                           [](HeaderWriter& writer) { writer.add_u32("gguf_fuse.version", 1); });
}

TEST_F(Record, Version1PromisesNothing) {
  const Bytes old = version_1(fuse(moe()));
  const ConvertReport report = unfuse(old);
  EXPECT_EQ(report.restored, Restores::Recorded);
  EXPECT_THAT(texts_of(report.unproven), HasSubstr("no hashes"));
  EXPECT_TRUE(gave_back_the_original());
  EXPECT_EQ(refusal(old).code, ErrorCode::NotOriginal);
  // Fused again it promises no more.
  write_file(path("fused.gguf"), old);
  value_of(convert({.input = path("fused.gguf"), .output = path("again.gguf"), .fuse = {.target = Target::GgufFuse}}));
  EXPECT_EQ(unfuse(read_file(path("again.gguf"))).restored, Restores::Recorded);
  EXPECT_TRUE(gave_back_the_original());
}

TEST_F(Record, HashesThatWereNeverFilledIn) {
  const Bytes fused = fuse(moe());
  const auto unknown = [](HeaderWriter& writer) { writer.add_bool("gguf_fuse.original.hashed", false); };
  EXPECT_EQ(unfuse(support::with_key(fused, "gguf_fuse.original.hashed", unknown)).restored, Restores::Recorded);
  for (const char* key : {"gguf_fuse.original.hashed", "gguf_fuse.original.zero_padding", "gguf_fuse.original.headers",
                          "gguf_fuse.original.tensors"}) {
    EXPECT_EQ(unfuse(support::with_key(fused, key, nullptr)).restored, Restores::Recorded) << key;
  }
  const auto few = [](HeaderWriter& writer) {
    writer.add_u64_array("gguf_fuse.original.tensors", std::vector<std::uint64_t>(3));
  };
  EXPECT_EQ(refusal(support::with_key(fused, "gguf_fuse.original.tensors", few)).code, ErrorCode::BadRecord);
}

TEST_F(Record, ThatLostKeysIsIgnoredWhereTheRulesSuffice) {
  const Bytes fused = fuse(RandomModel("llama"));
  for (const char* key : {"version", "fused", "part.counts", "part.names", "part.indices", "part.rows", "shard.tensors",
                          "shard.alignments", "shard.tails", "shard.keys"}) {
    const std::string name = std::string("gguf_fuse.") + key;
    SCOPED_TRACE(name);
    const Bytes without = support::with_key(fused, name, nullptr);
    const ConvertReport report = unfuse(without);
    EXPECT_EQ(report.restored, Restores::Weights);
    ASSERT_EQ(report.warnings.size(), 1U);
    EXPECT_THAT(report.warnings.front().text(), HasSubstr(name));
    EXPECT_EQ(value_of(verify(path("back.gguf"), path("in.gguf"))).fused_tensors, 0U);
    EXPECT_FALSE(value_of(open_model(path("back.gguf"))).info.metadata().find("gguf_fuse.fused"));
    EXPECT_EQ(refusal(without).code, ErrorCode::NotOriginal);
    EXPECT_TRUE(plan_fuse(model_of(without).info));
  }
  // The order inside attn_qkv of an unknown architecture is nobody's business but the record's.
  const Bytes unknown = fuse(RandomModel("frobnicator"), {.target = Target::GgufFuse, .gate_up = false});
  const Error error = refusal(support::with_key(unknown, "gguf_fuse.part.rows", nullptr));
  EXPECT_EQ(error.code, ErrorCode::BadRecord);
  EXPECT_EQ(error.subject, "gguf_fuse.part.rows");
}

TEST_F(Record, PaddingThatWasNotKept) {
  Bytes original = moe().build();
  original.resize(original.size() + 9, std::byte{7});
  write_file(path("in.gguf"), original);
  value_of(convert({.input = path("in.gguf"), .output = path("fused.gguf")}));
  const ConvertReport report = unfuse(read_file(path("fused.gguf")));
  EXPECT_EQ(report.restored, Restores::Recorded);
  EXPECT_THAT(texts_of(report.unproven), HasSubstr("between or behind"));
  EXPECT_FALSE(gave_back_the_original());
}

TEST_F(Record, FusingAgainHandsTheHashesOn) {
  fuse(moe());
  value_of(convert({.input = path("fused.gguf"), .output = path("again.gguf"), .fuse = {.target = Target::GgufFuse}}));
  const Bytes again = read_file(path("again.gguf"));
  EXPECT_EQ(unfuse(again).restored, Restores::Original);
  EXPECT_TRUE(gave_back_the_original());
  // Damage in between is told at once, and is not made the original.
  Pieces pieces = Pieces::of(again);
  pieces.tensors.back().data.back() ^= std::byte{0x40};
  write_file(path("fused.gguf"), pieces.build());
  const ConvertReport report =
      value_of(convert({.input = path("fused.gguf"), .output = path("third.gguf"), .fuse = {.gate_up = false}}));
  ASSERT_EQ(report.warnings.size(), 1U);
  EXPECT_THAT(report.warnings.front().text(), HasSubstr("1 of "));
  EXPECT_THAT(unfuse(read_file(path("third.gguf"))).changed_tensors, ElementsAre(pieces.tensors.back().name));
}

TEST_F(Record, ShardsInEveryShape) {
  const auto shards = moe().build_shards(9);
  const auto names = support::write_shards(path("in"), shards);
  const auto given_back = [&] {
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (!difference(names[i], shard_path(path("back"), i, names.size())).empty()) return false;
    }
    return true;
  };
  value_of(convert({.input = names.front(), .output = path("fused.gguf")}));
  EXPECT_EQ(value_of(convert(way_back(true))).restored, Restores::Original);
  EXPECT_TRUE(given_back());
  const ConvertReport kept =
      value_of(convert({.input = names.front(), .output = path("kept.gguf"), .fuse = {.split = {.keep = true}}}));
  ConvertRequest back = way_back(true);
  back.input = kept.outputs.front();
  EXPECT_EQ(value_of(convert(back)).restored, Restores::Original);
  EXPECT_TRUE(given_back());
  back.fuse.split.max_tensors = 5;
  EXPECT_EQ(convert(back).error().code, ErrorCode::NotOriginal);
  back.strict = false;
  EXPECT_THAT(texts_of(value_of(convert(back)).unproven), HasSubstr("as asked"));
}

// Whatever the way of the bytes: the same file, hashes and all.
TEST_F(Record, EveryWayGivesTheSameHashes) {
  const Bytes original = moe().type("F32").build();
  write_file(path("in.gguf"), original);
  value_of(convert({.input = path("in.gguf"), .output = path("expected.gguf"), .pipeline = {.threads = 1}}));
  for (const unsigned threads : {2U, 5U}) {
    for (const std::uint64_t memory : {std::uint64_t{64} << 10, std::uint64_t{100} << 10, std::uint64_t{64} << 20}) {
      for (const CopyMode copy : {CopyMode::Kernel, CopyMode::Ring}) {
        const PipelineOptions options{.threads = threads, .max_memory = memory, .copy = copy};
        value_of(convert({.input = path("in.gguf"),
                          .output = path("out.gguf"),
                          .replace = true,
                          .verify = false,
                          .pipeline = options}));
        EXPECT_EQ(difference(path("out.gguf"), path("expected.gguf")), "");
      }
    }
  }
  value_of(convert({.input = path("in.gguf"), .output = path("out.gguf.gz")}));
  value_of(convert({.input = path("out.gguf.gz"), .output = path("back.gguf"), .direction = Direction::Unfuse}));
  EXPECT_TRUE(gave_back_the_original());
  Model stream = value_of(open_model(std::make_unique<support::MemoryStream>(original)));
  std::vector<std::unique_ptr<Sink>> sinks;
  sinks.push_back(std::make_unique<support::MemorySink>());
  const Execution execution = value_of(execute(value_of(plan_fuse(stream.info)), stream, sinks));
  Plan plan = value_of(plan_fuse(stream.info));
  value_of(complete_record(plan, execution, nullptr));
  value_of(write_headers(plan, sinks));
  EXPECT_EQ(static_cast<const support::MemorySink&>(*sinks.front()).bytes(), read_file(path("expected.gguf")));
}

TEST_F(Record, HashesOfAnotherPlan) {
  Model model = model_of(moe().build());
  Plan plan = value_of(plan_fuse(model.info));
  EXPECT_EQ(complete_record(plan, {}, nullptr).error().code, ErrorCode::InvalidArgument);
  EXPECT_TRUE(changed_tensors(plan, {}).empty());
  Model stream = value_of(open_model(std::make_unique<support::MemoryStream>(moe().build())));
  EXPECT_EQ(survey(plan, stream).error().code, ErrorCode::InvalidArgument);
}

TEST_F(Record, StrictOnAFileThatIsFusedAlready) {
  fuse(RandomModel("llama"));
  ConvertRequest again{.input = path("fused.gguf"), .output = path("again.gguf"), .strict = true};
  const Error error = convert(again).error();
  EXPECT_EQ(error.code, ErrorCode::NothingToFuse);
  EXPECT_EQ(error.actual, "it is fused already");
  again.fuse.target = Target::GgufFuse;  // fuses more
  EXPECT_EQ(value_of(convert(again)).plan.fused_count(), 4U);
  again.strict = false;
  again.replace = true;
  again.fuse.target = Target::LlamaCpp;
  const ConvertReport report = value_of(convert(again));
  EXPECT_EQ(report.plan.fused_before, report.plan.fused_count());
  EXPECT_EQ(difference(path("again.gguf"), path("fused.gguf")), "");
}

TEST_F(Record, LayersThatTheModelDoesNotHave) {
  const Bytes file = RandomModel("llama").layers(3).build();
  const Model model = model_of(file);
  const auto plan = [&](std::uint32_t first, std::uint32_t last) {
    return plan_fuse(model.info, {.layers = std::pair(first, last)});
  };
  EXPECT_EQ(plan(3, 9).error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(plan(3, 0xffffffffU).error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(plan(2, 1).error().code, ErrorCode::InvalidArgument);
  EXPECT_THAT(texts_of(value_of(plan(1, 9)).warnings), HasSubstr("ends with layer 2"));
  EXPECT_TRUE(value_of(plan(1, 0xffffffffU)).warnings.empty());
  EXPECT_TRUE(value_of(plan(0, 2)).warnings.empty());
}

TEST_F(Record, CompressedOutputsAreReportedAsLargeAsTheyAre) {
  write_file(path("in.gguf"), moe().build());
  const ConvertReport report = value_of(convert({.input = path("in.gguf"), .output = path("out.gguf.gz")}));
  EXPECT_EQ(report.output_bytes, std::filesystem::file_size(path("out.gguf.gz")));
  EXPECT_LT(report.output_bytes, report.plan.total_bytes());
}

TEST_F(Record, VerifyTellsDamageFromAnotherModel) {
  const auto code = [this](const RandomModel& left, const RandomModel& right) {
    return verify(left.write(path("left.gguf")), right.write(path("right.gguf"))).error().code;
  };
  EXPECT_EQ(code(RandomModel("llama"), RandomModel("qwen2")), ErrorCode::DifferentModels);
  EXPECT_EQ(code(RandomModel("llama"), RandomModel("llama").layers(4)), ErrorCode::DifferentModels);
  EXPECT_EQ(code(RandomModel("llama"), RandomModel("llama").embedding(128)), ErrorCode::DifferentModels);
  EXPECT_EQ(code(RandomModel("llama"), RandomModel("llama").seed(9)), ErrorCode::DifferentModels);
  EXPECT_EQ(code(RandomModel("llama"), RandomModel("llama").type("F16")), ErrorCode::TensorsDiffer);
  EXPECT_EQ(code(RandomModel("llama").drop("output_norm"), RandomModel("llama")), ErrorCode::TensorsDiffer);
  EXPECT_EQ(code(RandomModel("llama"), RandomModel("llama").drop("output_norm")), ErrorCode::TensorsDiffer);
  const std::string original = RandomModel("llama").write(path("left.gguf"));
  Pieces damaged = Pieces::of(read_file(original));
  damaged.tensor("blk.0.attn_v.weight").data[5] ^= std::byte{1};
  write_file(path("right.gguf"), damaged.build());
  EXPECT_EQ(verify(path("right.gguf"), original).error().code, ErrorCode::TensorsDiffer);
}

TEST_F(Record, VerifySeesWhichOfTheTwoIsFused) {
  fuse(moe());
  const VerifyReport right = value_of(verify(path("fused.gguf"), path("in.gguf")));
  EXPECT_EQ(right.fused_tensors, 4U);
  EXPECT_EQ(right.fused_in_original, 0U);
  const VerifyReport swapped = value_of(verify(path("in.gguf"), path("fused.gguf")));
  EXPECT_EQ(swapped.fused_tensors, 0U);
  EXPECT_EQ(swapped.fused_in_original, 4U);
}

}  // namespace
}  // namespace gguf_fuse::fuse
