// SPDX-License-Identifier: MIT
// --explain-placement, and -ngl between two devices: what is told, and that text stays the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "run_test.hpp"
#include "support/paths.hpp"

namespace gguf_fuse::test_support {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const RunOptions& two() {
  static const RunOptions kTwo{.input = {}, .environment = {"POCL_DEVICES=pthread pthread"}};
  return kTwo;
}

/// Without a prompt: nothing is run.
nlohmann::json explained(const std::string& path, std::vector<std::string> more) {
  more.insert(more.begin(), {"-m", path, "--explain-placement", "--json"});
  return run_json(more, two());
}

std::vector<std::size_t> devices_of(const nlohmann::json& list) {
  std::vector<std::size_t> devices;
  for (const auto& row : list) devices.push_back(row.at("device"));
  return devices;
}

TEST(ExplainPlacement, GroupsAndSplitsAreTold) {
  const auto all = explained(model("llama-q8_0.gguf"), {"-dev", "1,0", "-ngl", "2"});
  EXPECT_EQ(all.at("devices").size(), 2U);
  EXPECT_EQ(all.at("devices").at(0).at("index"), 1);
  const auto& groups = all.at("groups");
  const std::vector<std::size_t> devices = devices_of(groups);
  ASSERT_GE(devices.size(), 7U);
  EXPECT_EQ(devices.front(), 1U);
  EXPECT_EQ(devices.back(), 0U);
  EXPECT_EQ(groups.at(0).at("why"), "not offloaded");
  EXPECT_EQ(groups.back().at("why"), "offloaded");
  EXPECT_EQ(groups.back().at("tensors"), nlohmann::json({"output.weight"}));
  EXPECT_EQ(groups.at(2).at("layer"), 0);
  EXPECT_THAT(devices_of(all.at("splits")), ElementsAre(1, 0));
  EXPECT_EQ(all.at("splits").at(1).at("from"), 1);
}

TEST(ExplainPlacement, TheEmbeddingsThatAreTheHeadAreOffloadedFirst) {
  const auto all = explained(model("gemma3-q8_0.gguf"), {"-dev", "0,1", "-ngl", "1"});
  EXPECT_THAT(devices_of(all.at("splits")), ElementsAre(0, 1, 0));
  EXPECT_EQ(all.at("groups").back().at("tensors"), nlohmann::json({"token_embd.weight"}));
  const auto last = explained(model("gemma3-q8_0.gguf"), {"-dev", "0,1", "-ngl", "1", "--output-placement", "last"});
  EXPECT_THAT(devices_of(last.at("splits")), ElementsAre(1, 0, 1));
}

TEST(ExplainPlacement, PeopleReadTables) {
  const auto told = gguf_run({"-m", model("qwen2moe-q5.gguf"), "--explain-placement", "-dev", "0,1", "-ngl", "1", "-ot",
                              R"(blk\.1\.ffn_up_exps=0)", "-ot", "ffn_gate_exp_=0"},
                             two());
  EXPECT_EQ(told.exit_code, 0) << told.err;
  EXPECT_THAT(told.out, HasSubstr("not offloaded"));
  EXPECT_THAT(told.out, HasSubstr(R"(-ot "blk\.1\.ffn_up_exps")"));
  EXPECT_THAT(told.out, HasSubstr("feed-forward of layer 1"));
  EXPECT_THAT(told.err, HasSubstr("no matrix has such a name; did you mean ffn_gate_exps?"));
}

TEST(ExplainPlacement, AnyNumberOfLayersSaysTheSame) {
  const auto text = [](const std::vector<std::string>& more) {
    std::vector<std::string> arguments{
        "-m", model("gemma3-q8_0.gguf"), "-p", "the water", "-n", "6", "--temp", "0", "--no-warmup", "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_json(arguments, two()).at("tokens");
  };
  const auto expected = text({});
  for (const char* layers : {"0", "1", "2", "99", "all"}) {
    EXPECT_EQ(text({"-dev", "0,1", "-ngl", layers}), expected) << layers;
    EXPECT_EQ(text({"-dev", "1,0", "-ngl", layers, "--output-placement", "last"}), expected) << layers;
  }
}

TEST(ExplainPlacement, GgufBenchTakesAListOfLayers) {
  const auto result = run_program({built("gguf-bench"), "-m", model("llama-q8_0.gguf"), "-dev", "0/1", "-ngl", "0,1,99",
                                   "-p", "4", "-n", "0", "-r", "1", "-o", "json"},
                                  two());
  ASSERT_EQ(result.exit_code, 0) << result.err;
  std::vector<int> layers;
  for (const auto& row : parsed(result.out)) layers.push_back(row.at("n_gpu_layers"));
  EXPECT_THAT(layers, ElementsAre(0, 1, 99));
}

}  // namespace
}  // namespace gguf_fuse::test_support
