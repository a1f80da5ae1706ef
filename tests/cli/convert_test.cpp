// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli_test.hpp"

namespace gguf_fuse::test_support {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

TEST(Convert, FusesAndUnfusesToTheSameBytes) {
  const TempDir folder;
  const std::string fused = folder.file("fused.gguf"), back = folder.file("back.gguf");
  const auto result = gguf_fuse({llama(), fused});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  EXPECT_THAT(result.out, HasSubstr("2 x attn_qkv (Q+K+V) for llama.cpp"));
  EXPECT_THAT(result.out, HasSubstr("21 -> 17"));
  EXPECT_THAT(result.out, HasSubstr("verified"));
  EXPECT_THAT(result.out, HasSubstr("loads in  llama.cpp; not ik_llama.cpp, which reads no fused attn_qkv"));
  EXPECT_THAT(result.out, Not(HasSubstr("\x1b")));
  const auto reversed = gguf_fuse({"unfuse", fused, back});
  EXPECT_EQ(reversed.exit_code, 0) << reversed.err;
  EXPECT_THAT(reversed.out, HasSubstr("17 -> 21"));
  EXPECT_THAT(reversed.out, HasSubstr("the original file, byte for byte"));
  EXPECT_EQ(difference(llama(), back), "");
  EXPECT_THAT(list_folder(folder.path()), ElementsAre("back.gguf", "fused.gguf"));
}

TEST(Convert, JsonTellsWhatWasDone) {
  const TempDir folder;
  const auto result = gguf_fuse({"convert", "--json", llama(), folder.file("fused.gguf")});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.err, "");
  const auto json = parsed(result.out);
  EXPECT_EQ(json.at("command"), "convert");
  EXPECT_EQ(json.at("target"), "llama.cpp");
  EXPECT_EQ(json.at("fused"), 2);
  EXPECT_EQ(json.at("tensors").at("before"), 21);
  EXPECT_EQ(json.at("tensors").at("after"), 17);
  EXPECT_EQ(json.at("verified"), true);
  EXPECT_EQ(json.at("outputs").at(0), folder.file("fused.gguf"));
  EXPECT_EQ(json.at("bytes").at("output"), std::filesystem::file_size(folder.file("fused.gguf")));
  EXPECT_EQ(json.at("engines").at("llama.cpp").at("loads"), true);
  EXPECT_EQ(json.at("engines").at("ik_llama.cpp").at("loads"), false);
  EXPECT_THAT(json.at("decisions"), Not(IsEmpty()));
}

TEST(Convert, DryRunWritesNothing) {
  const TempDir folder;
  const auto result = gguf_fuse({"convert", "-n", llama(), folder.file("fused.gguf")});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, HasSubstr("nothing (dry run)"));
  EXPECT_THAT(list_folder(folder.path()), IsEmpty());
}

TEST(Convert, QuietPrintsNothing) {
  const TempDir folder;
  const auto result = gguf_fuse({"convert", "-q", llama(), folder.file("fused.gguf")});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out + result.err, "");
}

TEST(Convert, NothingToFuseIsCopiedAndExplained) {
  const TempDir folder;
  const auto result = gguf_fuse({"convert", "--target", "ik_llama.cpp", llama(), folder.file("fused.gguf")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("nothing for ik_llama.cpp"));
  EXPECT_THAT(result.out, HasSubstr("--target llama.cpp would fuse 2 x attn_qkv"));
  EXPECT_EQ(difference(llama(), folder.file("fused.gguf")), "");
}

TEST(Convert, StrictRefusesToCopy) {
  const TempDir folder;
  const auto result =
      gguf_fuse({"convert", "--strict", "--target", "ik_llama.cpp", llama(), folder.file("fused.gguf")});
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_THAT(result.err, StartsWith("error: "));
  EXPECT_THAT(list_folder(folder.path()), IsEmpty());
}

TEST(Convert, AnotherTargetThatFusesMoreIsNamed) {
  const TempDir folder;
  const auto result = gguf_fuse({model("qwen3moe-q2_k.gguf"), folder.file("fused.gguf")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(
      result.out,
      HasSubstr("--target ik_llama.cpp would fuse 2 x ffn_gate_up_exps (gate+up experts), but not 2 x attn_qkv"));
  EXPECT_THAT(result.out, HasSubstr("would also fuse 2 x ffn_gate_up_exps"));
}

TEST(Convert, PipesInAndOut) {
  const TempDir folder;
  const std::string fused = folder.file("fused.gguf");
  ASSERT_EQ(gguf_fuse({"-q", llama(), fused}).exit_code, 0);
  const auto to_pipe = gguf_fuse({"convert", llama(), "-"});
  EXPECT_EQ(to_pipe.exit_code, 0) << to_pipe.err;
  EXPECT_EQ(to_pipe.out, read_text(fused));
  EXPECT_THAT(to_pipe.err, HasSubstr("2 x attn_qkv"));
  const auto from_pipe = gguf_fuse({"-", folder.file("piped.gguf")}, {.input = read_text(llama())});
  EXPECT_EQ(from_pipe.exit_code, 0) << from_pipe.err;
  EXPECT_THAT(from_pipe.out, HasSubstr("21 -> 17"));
  EXPECT_EQ(difference(fused, folder.file("piped.gguf")), "");
  const auto both = gguf_fuse({"unfuse", "-", "-", "--json"}, {.input = read_text(fused)});
  EXPECT_EQ(both.exit_code, 0) << both.err;
  EXPECT_EQ(both.out, read_text(llama()));
  EXPECT_EQ(parsed(both.err).at("exact"), true);
}

TEST(Convert, ShardsAreNamedInTheSummary) {
  const TempDir folder;
  const auto result = gguf_fuse({"--split-max-tensors", "6", llama(), folder.file("fused.gguf")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(list_folder(folder.path()),
              ElementsAre("fused-00001-of-00003.gguf", "fused-00002-of-00003.gguf", "fused-00003-of-00003.gguf"));
  EXPECT_THAT(result.out, HasSubstr("fused-00001-of-00003.gguf and 2 more"));
  EXPECT_EQ(gguf_fuse({"verify", folder.file("fused-00002-of-00003.gguf"), llama()}).exit_code, 0);
}

}  // namespace
}  // namespace gguf_fuse::test_support
