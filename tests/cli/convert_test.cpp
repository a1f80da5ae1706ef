// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "cli_test.hpp"
#include "support/rewrite.hpp"

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

// A weight that changed since: what comes back is no longer the original, and is not called so.
TEST(Convert, UnfuseSaysOnlyWhatIsProven) {
  const TempDir folder;
  const std::string fused = folder.file("fused.gguf"), back = folder.file("back.gguf");
  ASSERT_EQ(gguf_fuse({"-q", llama(), fused}).exit_code, 0);
  EXPECT_THAT(gguf_fuse({"inspect", fused}).out, HasSubstr("the record holds the original's hashes"));
  EXPECT_EQ(gguf_fuse({"unfuse", "--strict", fused, back}).exit_code, 0);
  const auto dry = gguf_fuse({"unfuse", "-n", fused, folder.file("dry.gguf")});
  EXPECT_THAT(dry.out, HasSubstr("the original file, if its tensors still have the hashes in the record"));
  std::string bytes = read_text(fused);
  bytes[bytes.size() - 100] = static_cast<char>(bytes[bytes.size() - 100] ^ 1);
  write_text(fused, bytes);
  const auto changed = gguf_fuse({"unfuse", "-f", fused, back});
  EXPECT_EQ(changed.exit_code, 0) << changed.err;
  EXPECT_THAT(changed.out, HasSubstr("as the record says, not proven to be the original: 1 of 21 tensors changed"));
  EXPECT_THAT(changed.out, HasSubstr("changed   "));
  EXPECT_THAT(changed.out, Not(HasSubstr("byte for byte")));
  const auto json = parsed(gguf_fuse({"unfuse", "-f", "--json", fused, back}).out);
  EXPECT_EQ(json.at("exact"), false);
  EXPECT_EQ(json.at("restores"), "recorded");
  EXPECT_EQ(json.at("changed_tensors").size(), 1U);
  const auto strict = gguf_fuse({"unfuse", "--strict", fused, folder.file("strict.gguf")});
  EXPECT_EQ(strict.exit_code, 5);
  EXPECT_THAT(strict.err, HasSubstr("1 of 21 tensors changed"));
  EXPECT_THAT(list_folder(folder.path()), ElementsAre("back.gguf", "fused.gguf"));
  const auto other = [](HeaderWriter& writer) { writer.add_string("general.name", "another"); };
  const auto renamed = with_key(read_file(llama()), "general.name", other);
  write_file(folder.file("in.gguf"), renamed);
  ASSERT_EQ(gguf_fuse({"-q", "-f", folder.file("in.gguf"), fused}).exit_code, 0);
  write_file(fused, with_key(read_file(fused), "general.name", nullptr));
  EXPECT_THAT(gguf_fuse({"inspect", fused}).out, HasSubstr("the metadata changed since it was fused"));
}

TEST(Convert, WhatIsFusedAlready) {
  const TempDir folder;
  const std::string fused = folder.file("fused.gguf"), again = folder.file("again.gguf");
  ASSERT_EQ(gguf_fuse({"-q", llama(), fused}).exit_code, 0);
  const auto result = gguf_fuse({fused, again});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("as the input has it already: nothing changes"));
  const auto strict = gguf_fuse({"convert", "--strict", "-f", fused, again});
  EXPECT_EQ(strict.exit_code, 4);
  EXPECT_THAT(strict.err, HasSubstr("it is fused already"));
}

TEST(Convert, LayersBeyondTheModel) {
  const TempDir folder;
  const auto none = gguf_fuse({"convert", "--layers", "2-", llama(), folder.file("out.gguf")});
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_THAT(none.err, HasSubstr("layers from 0 to 1"));
  const auto some = gguf_fuse({"convert", "--layers", "1-7", llama(), folder.file("out.gguf")});
  EXPECT_EQ(some.exit_code, 0);
  EXPECT_THAT(some.err, HasSubstr("the model ends with layer 1"));
}

TEST(Convert, CompressedOutputsAreAsLargeAsTheyAre) {
  const TempDir folder;
  const std::string out = folder.file("out.gguf.gz");
  const auto json = parsed(gguf_fuse({"convert", "--json", llama(), out}).out);
  EXPECT_EQ(json.at("bytes").at("output"), std::filesystem::file_size(out));
}

TEST(Verify, SaysWhichFileIsFusedAndWhetherItIsTheSameModel) {
  const TempDir folder;
  const std::string fused = folder.file("fused.gguf");
  ASSERT_EQ(gguf_fuse({"-q", llama(), fused}).exit_code, 0);
  EXPECT_THAT(gguf_fuse({"verify", fused, llama()}).out, HasSubstr("(2 fused;"));
  EXPECT_THAT(gguf_fuse({"verify", llama(), fused}).out, HasSubstr("(2 fused in " + fused + ", given second;"));
  EXPECT_THAT(gguf_fuse({"verify", llama(), llama()}).out, HasSubstr("(none fused;"));
  const auto other = gguf_fuse({"verify", fused, model("qwen2-f16.gguf")});
  EXPECT_EQ(other.exit_code, 5);
  EXPECT_THAT(other.err, HasSubstr("two different models"));
  EXPECT_THAT(other.err, Not(HasSubstr("do not use this file")));
}

// One object on one line, whatever the command and its flags, and an error is one of the same kind.
TEST(Json, IsOneLineForEveryCommand) {
  const TempDir folder;
  const std::string fused = folder.file("fused.gguf"), missing = folder.file("none.gguf");
  ASSERT_EQ(gguf_fuse({"-q", llama(), fused}).exit_code, 0);
  const std::vector<std::vector<std::string>> good = {{"convert", llama(), folder.file("a.gguf")},
                                                      {"convert", "-n", llama(), folder.file("b.gguf")},
                                                      {"convert", "-q", "-f", llama(), fused},
                                                      {"unfuse", fused, folder.file("c.gguf")},
                                                      {"plan", llama()},
                                                      {"plan", "--explain", llama()},
                                                      {"inspect", llama()},
                                                      {"inspect", "--kv", "--tensors", llama()},
                                                      {"inspect", "--types"},
                                                      {"inspect", "--types", llama()},
                                                      {"verify", fused, llama()},
                                                      {"hash", llama()},
                                                      {"targets"},
                                                      {"targets", "--markdown"}};
  const std::vector<std::vector<std::string>> bad = {{"convert", missing, folder.file("d.gguf")},
                                                     {"convert", "--strict", fused, folder.file("d.gguf")},
                                                     {"unfuse", llama(), folder.file("d.gguf")},
                                                     {"plan", missing},
                                                     {"inspect", "--types", missing},
                                                     {"verify", fused, missing},
                                                     {"hash", missing},
                                                     {"plan", "--bogus", llama()},
                                                     {"targets", "--bogus"}};
  for (const auto& list : {good, bad}) {
    for (std::vector<std::string> arguments : list) {
      arguments.emplace_back("--json");
      const auto result = gguf_fuse(arguments);
      SCOPED_TRACE(result.out);
      EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 1);
      EXPECT_EQ(result.err, "");
      const auto json = parsed(result.out);
      EXPECT_EQ(json.contains("error"), result.exit_code != 0);
      EXPECT_EQ(json.contains("command"), result.exit_code == 0);
      if (result.exit_code != 0) {
        EXPECT_EQ(json.at("error").at("exit_code"), result.exit_code);
      } else {
        EXPECT_EQ(json.at("command"), arguments.front());
      }
    }
  }
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
