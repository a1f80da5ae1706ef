// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli_test.hpp"

namespace gguf_fuse::test_support {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

TEST(Inspect, GroupsTensorsThatAreAlike) {
  const auto result = gguf_fuse({"inspect", model("llama-q4_k_m.gguf")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("GGUF v3, little-endian, alignment 32"));
  EXPECT_THAT(result.out, HasSubstr("architecture  llama"));
  EXPECT_THAT(result.out, HasSubstr("layers 2"));
  EXPECT_THAT(result.out, ContainsRegex("blk\\.\\*\\.attn_q\\.weight +2 +Q4_K +256 x 256 +73\\.7 kB"));
  // the two layers differ in type here
  EXPECT_THAT(result.out, ContainsRegex("blk\\.0\\.attn_v\\.weight +1 +Q6_K"));
  EXPECT_THAT(result.out, ContainsRegex("blk\\.1\\.attn_v\\.weight +1 +Q4_K"));
}

TEST(Inspect, ShowsKeysTensorsAndTypes) {
  const auto keys = gguf_fuse({"inspect", "--kv", llama()});
  EXPECT_THAT(keys.out, ContainsRegex("llama\\.block_count +uint32 +2\n"));
  EXPECT_THAT(keys.out, ContainsRegex("tokenizer\\.ggml\\.tokens +array +\\[string x 320\\]"));
  const auto tensors = gguf_fuse({"inspect", "--tensors", llama()});
  EXPECT_THAT(tensors.out, ContainsRegex("blk\\.1\\.attn_v\\.weight +Q8_0 +128 x 64 +1 +[0-9]+ +8704\n"));
  const auto types = gguf_fuse({"inspect", "--types"});
  EXPECT_EQ(types.exit_code, 0);
  EXPECT_THAT(types.out, ContainsRegex("8 +Q8_0 +32 +34 +8\\.50"));
  EXPECT_GT(parsed(gguf_fuse({"inspect", "--types", "--json"}).out).at("types").size(), 50U);
}

TEST(Inspect, JsonHoldsHeaderAndTensors) {
  const auto file = parsed(gguf_fuse({"inspect", "--json", llama()}).out).at("files").at(0);
  EXPECT_EQ(file.at("version"), 3);
  EXPECT_EQ(file.at("tensors").size(), 21U);
  EXPECT_EQ(file.at("tensors").at(0).at("name"), "token_embd.weight");
  EXPECT_EQ(file.at("tensors").at(0).at("dims"), nlohmann::json({128, 320}));
  EXPECT_EQ(file.at("metadata").at("llama.block_count").at("value"), 2);
  const auto& tokens = file.at("metadata").at("tokenizer.ggml.tokens");
  EXPECT_EQ(tokens.at("count"), 320);
  EXPECT_FALSE(tokens.contains("value")) << "long arrays only with --kv";
  const auto whole = parsed(gguf_fuse({"inspect", "--json", "--kv", llama()}).out).at("files").at(0);
  EXPECT_EQ(whole.at("metadata").at("tokenizer.ggml.tokens").at("value").size(), 320U);
}

TEST(Inspect, TextFromTheFileCannotControlTheTerminal) {
  const TempDir folder;
  const std::string evil = altered_copy(llama(), folder, "llama-q8_0", "\x1b[31m\x07\xff\n\r!");
  for (const char* flag : {"--kv", "--json", "--tensors"}) {
    const auto result = gguf_fuse({"inspect", flag, evil});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_THAT(result.out, Not(ContainsRegex("[\x1b\x07\xff\r]"))) << flag;
  }
  EXPECT_THAT(gguf_fuse({"inspect", evil}).out, HasSubstr("name          \\x1b[31m\\x07\\xff\\x0a\\x0d!\n"));
  const std::string tensor = altered_copy(llama(), folder, "blk.0.attn_v.weight", "blk.0.\x1b[31m\x9b.weight");
  for (const char* command : {"inspect", "plan", "hash"}) {
    const auto result = gguf_fuse({command, tensor});
    EXPECT_THAT(result.out + result.err, Not(ContainsRegex("[\x1b\x9b]"))) << command;
  }
}

TEST(Inspect, ReadsFromAPipe) {
  const auto result = gguf_fuse({"inspect", "-"}, {.input = read_text(llama())});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("architecture  llama"));
}

TEST(Hash, PrintsEveryTensorInTheFormatOfLlamaGgufHash) {
  const auto result = gguf_fuse({"hash", llama()});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, ContainsRegex("xxh64     [0-9a-f]{16}  .*llama-q8_0\\.gguf:token_embd\\.weight\n"));
  const auto tensors = parsed(gguf_fuse({"hash", "--json", llama()}).out).at("tensors");
  EXPECT_EQ(tensors.size(), 21U);
  const std::string first = tensors.at(0).at("xxh64");
  EXPECT_THAT(result.out, testing::StartsWith("xxh64     " + first));
}

TEST(Plan, GroupsEqualLayersAndGivesReasons) {
  const auto summary = gguf_fuse({"plan", llama()});
  EXPECT_EQ(summary.exit_code, 0) << summary.err;
  EXPECT_THAT(summary.out, HasSubstr("########################  2 of 2  -> attn_qkv, "));
  EXPECT_THAT(summary.out, HasSubstr("\nnext:  gguf-fuse convert "));
  EXPECT_THAT(summary.out, HasSubstr("21 -> 17"));
  EXPECT_THAT(summary.out, HasSubstr("15 -> 11 matrix products per token"));
  EXPECT_THAT(summary.out, HasSubstr("docs/performance.md"));
  const auto explained = gguf_fuse({"plan", "--explain", llama()});
  EXPECT_THAT(explained.out, ContainsRegex("\n0-1 .*fuse to attn_qkv"));
  const auto mixed = gguf_fuse({"plan", "--explain", model("llama-q4_k_m.gguf")});
  EXPECT_THAT(mixed.out, ContainsRegex("\n0 .*keep"));
  EXPECT_THAT(mixed.out, ContainsRegex("\n1 .*fuse to attn_qkv"));
}

TEST(Plan, JsonHoldsEveryDecision) {
  const auto json = parsed(gguf_fuse({"plan", "--json", "--target", "gguf-fuse", model("qwen3moe-q2_k.gguf")}).out);
  EXPECT_EQ(json.at("architecture"), "qwen3moe");
  EXPECT_GT(json.at("fused"), 0);
  // layers that are decided alike are one entry
  EXPECT_EQ(json.at("decisions").size(), 2U);
  for (const auto& decision : json.at("decisions")) {
    EXPECT_TRUE(decision.at("fused").is_boolean());
    EXPECT_NE(decision.at("reason"), "");
    EXPECT_EQ(decision.at("layers"), nlohmann::json({0, 1}));
    EXPECT_GE(decision.at("parts").size(), 2U);
  }
}

TEST(Plan, TellsWhichEnginesWillLoadTheResult) {
  const auto loads = [](std::vector<std::string> arguments, const char* engine) {
    arguments.insert(arguments.begin(), {"plan", "--json"});
    return parsed(gguf_fuse(arguments).out).at("engines").at(engine).at("loads").get<bool>();
  };
  // ik_llama.cpp reads only fused tensors here, which the first model has by design and the second only when they are
  // made
  EXPECT_TRUE(loads({model("phi3-q4_k.gguf")}, "ik_llama.cpp"));
  EXPECT_FALSE(loads({model("gemma4-moe-q8_0.gguf"), "--only", "qkv"}, "ik_llama.cpp"));
  EXPECT_TRUE(loads({model("gemma4-moe-q8_0.gguf"), "--only", "gate-up"}, "ik_llama.cpp"));
  EXPECT_FALSE(loads({model("qwen3moe-q2_k.gguf"), "--target", "ik_llama.cpp"}, "llama.cpp"));
}

}  // namespace
}  // namespace gguf_fuse::test_support
