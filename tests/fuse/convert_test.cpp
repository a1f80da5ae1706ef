// SPDX-License-Identifier: MIT
#include "gguf_fuse/fuse/convert.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "support/file_util.hpp"
#include "support/memory_sink.hpp"
#include "support/paths.hpp"
#include "support/random_model.hpp"
#include "support/temp_dir.hpp"

namespace gguf_fuse::fuse {
namespace {

using support::difference;
using support::list_folder;
using support::RandomModel;
using support::read_file;
using support::TempDir;
using support::value_of;
using support::write_file;

class Convert : public ::testing::Test {
 protected:
  std::string write_model(const std::string& name, const RandomModel& model = RandomModel("granite_swa")) const {
    return model.write(folder_.file(name));
  }
  std::vector<std::string> write_shards(std::size_t tensors_per_shard) const {
    const auto shards = RandomModel("granite_swa").build_shards(tensors_per_shard);
    std::vector<std::string> paths;
    for (std::size_t i = 0; i < shards.size(); ++i) {
      paths.push_back(shard_path(folder_.file("in"), i, shards.size()));
      write_file(paths.back(), shards[i]);
    }
    return paths;
  }
  std::string path(const std::string& name) const { return folder_.file(name); }

  TempDir folder_;
};

ConvertRequest request(const std::string& input, const std::string& output, Direction direction = Direction::Fuse) {
  return {.input = input, .output = output, .direction = direction};
}

ErrorCode error_of(const ConvertRequest& wanted) {
  const auto done = convert(wanted);
  if (done) throw std::runtime_error("converted, which was not expected");
  return done.error().code;
}

TEST_F(Convert, ThereAndBack) {
  const std::string input = write_model("in.gguf");
  const ConvertReport report = value_of(convert(request(input, path("fused.gguf"))));
  EXPECT_TRUE(report.verified);
  EXPECT_EQ(report.plan.fused_count(), 4U);
  value_of(convert(request(path("fused.gguf"), path("back.gguf"), Direction::Unfuse)));
  EXPECT_EQ(difference(input, path("back.gguf")), "");
  EXPECT_EQ(list_folder(folder_.path()), (std::vector<std::string>{"back.gguf", "fused.gguf", "in.gguf"}));
}

TEST_F(Convert, EveryLoadModeAndCopyModeGivesTheSameFile) {
  const std::string input = write_model("in.gguf");
  value_of(convert(request(input, path("expected.gguf"))));
  for (const LoadMode mode : {LoadMode::Read, LoadMode::Mmap, LoadMode::Direct}) {
    for (const CopyMode copy : {CopyMode::Auto, CopyMode::Kernel, CopyMode::Ring}) {
      ConvertRequest wanted = request(input, path("out.gguf"));
      wanted.mode = mode;
      wanted.pipeline.copy = copy;
      wanted.replace = true;
      value_of(convert(wanted));
      EXPECT_EQ(difference(path("out.gguf"), path("expected.gguf")), "");
    }
  }
}

TEST_F(Convert, GzipInAndOut) {
  const std::string input = write_model("in.gguf");
  value_of(convert(request(input, path("fused.gguf"))));
  value_of(convert(request(input, path("fused.gguf.gz"))));
  value_of(convert(request(path("fused.gguf.gz"), path("back.gguf"), Direction::Unfuse)));
  EXPECT_EQ(difference(input, path("back.gguf")), "");
  value_of(convert(request(path("fused.gguf.gz"), path("back.gguf.gz"), Direction::Unfuse)));
  value_of(convert(request(path("back.gguf.gz"), path("fused2.gguf"))));
  EXPECT_EQ(difference(path("fused.gguf"), path("fused2.gguf")), "");
  const VerifyReport both_zipped = value_of(verify(path("fused.gguf.gz"), path("back.gguf.gz")));
  EXPECT_EQ(both_zipped.fused_tensors, 4U);
}

TEST_F(Convert, ShardsToOneFileAndBackToShards) {
  const auto shards = write_shards(9);
  ASSERT_GE(shards.size(), 3U);
  const ConvertReport report = value_of(convert(request(shards[1], path("one.gguf"))));
  EXPECT_EQ(report.outputs, std::vector<std::string>{path("one.gguf")});
  EXPECT_EQ(value_of(open_model(path("one.gguf"))).info.metadata().get_unsigned("split.count").value_or(9), 0U);
  const ConvertReport back = value_of(convert(request(path("one.gguf"), path("back.gguf"), Direction::Unfuse)));
  ASSERT_EQ(back.outputs.size(), shards.size());
  for (std::size_t i = 0; i < shards.size(); ++i) EXPECT_EQ(difference(shards[i], back.outputs[i]), "");
  EXPECT_EQ(value_of(verify(path("one.gguf"), shards[0])).fused_tensors, 4U);
}

TEST_F(Convert, ShardsKeepTheirBordersWhenAsked) {
  const auto shards = write_shards(9);
  ConvertRequest keep = request(shards[0], path("kept.gguf"));
  keep.fuse.split.keep = true;
  const ConvertReport report = value_of(convert(keep));
  ASSERT_EQ(report.outputs.size(), shards.size());
  const Model kept = value_of(open_model(report.outputs.back()));
  EXPECT_EQ(kept.info.metadata().get_unsigned("split.tensors.count").value_or(0), kept.info.tensor_count());
  const ConvertReport back = value_of(convert(request(report.outputs[0], path("back.gguf"), Direction::Unfuse)));
  for (std::size_t i = 0; i < shards.size(); ++i) EXPECT_EQ(difference(shards[i], back.outputs[i]), "");
}

TEST_F(Convert, OneFileCutIntoShardsBySizeAndByCount) {
  const std::string input = write_model("in.gguf");
  for (const SplitOptions split : {SplitOptions{.max_bytes = 20000}, SplitOptions{.max_tensors = 5}}) {
    ConvertRequest wanted = request(input, path("cut.gguf"));
    wanted.fuse.split = split;
    wanted.replace = true;
    const ConvertReport report = value_of(convert(wanted));
    ASSERT_GT(report.outputs.size(), 2U);
    const Model model = value_of(open_model(report.outputs[1]));
    for (const Container& shard : model.info.shards) {
      EXPECT_TRUE(split.max_tensors == 0 || shard.tensors.size() <= split.max_tensors);
      EXPECT_TRUE(split.max_bytes == 0 || shard.data_bytes <= split.max_bytes || shard.tensors.size() == 1);
    }
    value_of(convert(
        {.input = report.outputs[0], .output = path("back.gguf"), .direction = Direction::Unfuse, .replace = true}));
    EXPECT_EQ(difference(input, path("back.gguf")), "");
    for (const std::string& output : report.outputs) std::filesystem::remove(output);
  }
}

TEST_F(Convert, TheInputIsNeverTheOutput) {
  const std::string input = write_model("in.gguf");
  const auto before = read_file(input);
  std::filesystem::create_hard_link(input, path("hard.gguf"));
  std::filesystem::create_symlink(input, path("soft.gguf"));
  std::filesystem::create_directory(path("sub"));
  for (const std::string& alias :
       {input, path("hard.gguf"), path("soft.gguf"), path("sub/../in.gguf"), path("./in.gguf")}) {
    ConvertRequest wanted = request(input, alias);
    wanted.replace = true;
    EXPECT_EQ(error_of(wanted), ErrorCode::SameFile) << alias;
    EXPECT_TRUE(read_file(input) == before);
  }
}

TEST_F(Convert, AShardOfTheInputIsNotAnOutputEither) {
  const auto shards = write_shards(9);
  ConvertRequest wanted = request(shards[0], shards[2]);
  wanted.replace = true;
  EXPECT_EQ(error_of(wanted), ErrorCode::SameFile);
}

TEST_F(Convert, AnExistingOutputIsReplacedOnlyWhenAsked) {
  const std::string input = write_model("in.gguf");
  support::write_text(path("out.gguf"), "precious");
  EXPECT_EQ(error_of(request(input, path("out.gguf"))), ErrorCode::OutputExists);
  EXPECT_EQ(support::read_text(path("out.gguf")), "precious");
  ConvertRequest wanted = request(input, path("out.gguf"));
  wanted.replace = true;
  EXPECT_TRUE(convert(wanted));
}

TEST_F(Convert, NothingToFuseIsACopyOrWithStrictAnError) {
  const std::string input = write_model("in.gguf", RandomModel("deepseek2"));
  ConvertRequest wanted = request(input, path("out.gguf"));
  wanted.fuse.qkv = false;
  wanted.fuse.gate_up = false;
  EXPECT_EQ(value_of(convert(wanted)).plan.fused_count(), 0U);
  EXPECT_EQ(difference(input, path("out.gguf")), "");
  wanted.strict = true;
  wanted.replace = true;
  EXPECT_EQ(error_of(wanted), ErrorCode::NothingToFuse);
}

TEST_F(Convert, DryRunWritesNothing) {
  const std::string input = write_model("in.gguf");
  ConvertRequest wanted = request(input, path("out.gguf"));
  wanted.dry_run = true;
  EXPECT_EQ(value_of(convert(wanted)).plan.fused_count(), 4U);
  EXPECT_EQ(list_folder(folder_.path()), std::vector<std::string>{"in.gguf"});
}

TEST_F(Convert, FilesFusedElsewhereAreTakenApartByTheRules) {
  for (const char* name : {"llama-q8_0", "granite_swa-merged-q4_1", "gemma4-moe-q8_0", "qwen35moe-q8_0"}) {
    const std::string models = test_support::test_data("models/");
    const std::string fused = models + name + ".fused.gguf";
    ConvertRequest wanted = request(fused, path("back.gguf"), Direction::Unfuse);
    wanted.replace = true;
    const ConvertReport report = value_of(convert(wanted));
    EXPECT_EQ(report.restored, Restores::Weights);
    const VerifyReport proof = value_of(verify(path("back.gguf"), models + name + ".gguf"));
    EXPECT_EQ(proof.fused_tensors, 0U) << name;
  }
}

TEST_F(Convert, PaddingOtherThanZeroIsMentioned) {
  const std::string input = write_model("in.gguf");
  std::ofstream(input, std::ios::app | std::ios::binary) << "signature";
  const ConvertReport report = value_of(convert(request(input, path("out.gguf"))));
  ASSERT_EQ(report.warnings.size(), 1U);
  EXPECT_NE(report.warnings[0].text().find("other than zero"), std::string::npos);
}

TEST_F(Convert, OutputIntoAMissingFolderFailsAtOnce) {
  const std::string input = write_model("in.gguf");
  EXPECT_EQ(error_of(request(input, path("no/such/folder/out.gguf"))), ErrorCode::OpenFailed);
}

}  // namespace
}  // namespace gguf_fuse::fuse
