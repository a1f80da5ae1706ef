// SPDX-License-Identifier: MIT
// Real text on real models: what llama.cpp said (tests/data/golden/NAME.json), from every kind of file.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "gguf_fuse/fuse/convert.hpp"
#include "support/runtime/run_model.hpp"
#include "support/temp_dir.hpp"

namespace gguf_fuse {
namespace {

using support::open_session;
using support::TempDir;
using support::value_of;

constexpr const char* kSmolLM2 = "smollm2-135m-instruct-q4_1";
constexpr const char* kGemma3 = "gemma-3-270m-it-q4_k_m";

std::string model_path(const std::string& name) {
  const char* folder = std::getenv("GGUF_FUSE_MODELS");
  const std::string path = std::string(folder == nullptr ? "/nonexistent" : folder) + "/" + name + ".gguf";
  return std::filesystem::exists(path) ? path : std::string();
}

nlohmann::json golden(const std::string& name) {
  std::ifstream file(std::string(GGUF_FUSE_TEST_DATA) + "/golden/" + name + ".json");
  return nlohmann::json::parse(file).at("results");
}

#define NEED_MODEL(name)                     \
  const std::string path = model_path(name); \
  if (path.empty())                          \
  GTEST_SKIP() << name << " is not here: scripts/models.sh brings it, GGUF_FUSE_MODELS names its folder"

std::vector<std::int32_t> greedy(Session& session, std::vector<std::int32_t> prompt, std::size_t count) {
  std::vector<std::int32_t> said;
  while (said.size() < count) {
    value_of(session.evaluate(prompt));
    prompt = {value_of(session.top(1)).at(0).token};
    said.push_back(prompt.front());
  }
  return said;
}

void expect_golden_ids(const std::string& name, const std::string& path) {
  const auto model = support::open_runnable(path);
  const Tokenizer& tokenizer = *value_of(model->tokenizer());
  for (const auto& result : golden(name)) {
    const std::string prompt = result.at("prompt");
    EXPECT_EQ(value_of(tokenizer.tokenize(prompt, {.add_special = true, .parse_special = true})),
              result.at("tokens").get<std::vector<std::int32_t>>())
        << prompt;
  }
}

void expect_golden_likelihood(const std::string& name, const std::string& path, const support::RunOptions& options) {
  support::RunOptions all = options;
  all.all_logits = true;
  all.context = 512;
  const auto session = open_session(path, all);
  double sum = 0;
  double expected = 0;
  for (const auto& result : golden(name)) {
    const std::vector<std::int32_t> tokens = result.at("tokens");
    value_of(session->truncate(0));
    double nll = 0;
    for (std::size_t begin = 0; begin < tokens.size(); begin += 64) {
      const std::size_t count = std::min<std::size_t>(64, tokens.size() - begin);
      value_of(session->evaluate(std::span(tokens).subspan(begin, count)));
      const auto rows = value_of(session->statistics());
      const auto logits = value_of(session->logits());
      const std::size_t vocabulary = logits.size() / count;
      for (std::size_t i = 0; i < count && begin + i + 1 < tokens.size(); ++i) {
        nll += static_cast<double>(rows[i].logsumexp) -
               static_cast<double>(logits[i * vocabulary + static_cast<std::size_t>(tokens[begin + i + 1])]);
      }
    }
    const double mean = nll / static_cast<double>(tokens.size() - 1);
    const double wanted = result.at("mean_nll");
    EXPECT_NEAR(mean / wanted, 1, 0.02) << result.at("prompt");  // short prompts waver more than all together
    sum += mean;
    expected += wanted;
  }
  EXPECT_NEAR(sum / expected, 1, 0.005);
}

void expect_golden_words(const std::string& name, const std::string& path, const support::RunOptions& options) {
  support::RunOptions short_context = options;
  short_context.context = 512;
  const auto session = open_session(path, short_context);
  for (const auto& result : golden(name)) {
    const std::vector<std::int32_t> expected = result.at("greedy");
    value_of(session->truncate(0));
    const auto said = greedy(*session, result.at("tokens"), 8);
    EXPECT_EQ(said, std::vector(expected.begin(), expected.begin() + 8)) << result.at("prompt");
  }
}

class Speaks : public testing::TestWithParam<Activations> {
 protected:
  static support::RunOptions options() { return {.activations = GetParam(), .cache = CacheType::F16}; }
};

TEST_P(Speaks, SmolLM2AsTheGolden) {
  NEED_MODEL(kSmolLM2);
  expect_golden_ids(kSmolLM2, path);
  expect_golden_likelihood(kSmolLM2, path, options());
  expect_golden_words(kSmolLM2, path, options());
}

TEST_P(Speaks, Gemma3AsTheGolden) {
  NEED_MODEL(kGemma3);
  expect_golden_ids(kGemma3, path);
  expect_golden_likelihood(kGemma3, path, options());
  expect_golden_words(kGemma3, path, options());
}

std::string test_name(const testing::TestParamInfo<Activations>& activations) {
  return activations.param == Activations::Q8 ? "Q8" : "F32";
}
INSTANTIATE_TEST_SUITE_P(Activations, Speaks, testing::Values(Activations::Q8, Activations::F32), test_name);

TEST(SpeaksFrom, SmolLM2FusedFilesShardsGzipAndTwoDevices) {
  NEED_MODEL(kSmolLM2);
  const TempDir dir;
  const support::RunOptions options{.activations = Activations::Q8, .cache = CacheType::F16, .context = 256};
  const std::vector<std::int32_t> prompt = golden(kSmolLM2).at(0).at("tokens");
  const auto expected = greedy(*open_session(path, options), prompt, 32);

  value_of(convert({.input = path, .output = dir.file("fused.gguf")}));
  ConvertRequest everything{.input = path, .output = dir.file("everything.gguf")};
  everything.fuse.target = Target::GgufFuse;
  value_of(convert(everything));
  ConvertRequest cut{.input = path, .output = dir.file("shards.gguf")};
  cut.fuse.split.max_bytes = 20'000'000;
  const auto shards = value_of(convert(cut)).outputs;
  value_of(convert({.input = path, .output = dir.file("fused.gguf.gz")}));
  for (const std::string& file :
       {dir.file("fused.gguf"), dir.file("everything.gguf"), shards.front(), dir.file("fused.gguf.gz")}) {
    EXPECT_EQ(greedy(*open_session(file, options), prompt, 32), expected) << file;
  }
  support::RunOptions two = options;
  const auto& devices = support::test_devices();
  two.devices = {devices.front(), devices.back()};
  EXPECT_EQ(greedy(*open_session(path, two), prompt, 32), expected);
}

}  // namespace
}  // namespace gguf_fuse
