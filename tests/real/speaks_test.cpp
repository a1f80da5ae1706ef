// SPDX-License-Identifier: MIT
// Real text on real models: what llama.cpp said (tests/data/golden/NAME.json), from every kind of file.
#include "gguf_fuse/fuse/convert.hpp"
#include "speech.hpp"
#include "support/temp_dir.hpp"

namespace gguf_fuse::runtime {
namespace {

using support::TempDir;

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

/// Mean of -log p(next token) over a prompt.
double mean_nll(Session& session, const std::vector<std::int32_t>& tokens) {
  value_of(session.truncate(0));
  double sum = 0;
  for (std::size_t begin = 0; begin < tokens.size(); begin += 64) {
    const std::size_t count = std::min<std::size_t>(64, tokens.size() - begin);
    value_of(session.evaluate(std::span(tokens).subspan(begin, count)));
    const auto rows = value_of(session.statistics());
    const auto logits = value_of(session.logits());
    const std::size_t vocabulary = logits.size() / count;
    for (std::size_t i = 0; i < count && begin + i + 1 < tokens.size(); ++i) {
      sum += static_cast<double>(rows[i].logsumexp) -
             static_cast<double>(logits[i * vocabulary + static_cast<std::size_t>(tokens[begin + i + 1])]);
    }
  }
  return sum / static_cast<double>(tokens.size() - 1);
}

void expect_golden_likelihood(const std::string& name, const std::string& path, ModelSetup setup) {
  setup.all_logits = true;
  const auto session = open_session(path, setup);
  double sum = 0;
  double golden_sum = 0;
  double float_sum = 0;
  for (const auto& result : golden(name)) {
    const double mean = mean_nll(*session, result.at("tokens"));
    if (setup.activations == Activations::F32) {
      // llama.cpp looks GELU up in a table of half precision, which shows in Gemma.
      EXPECT_NEAR(mean / result.at("mean_nll_f32").get<double>(), 1, 5e-4) << result.at("prompt");
    }
    sum += mean;
    golden_sum += result.at("mean_nll").get<double>();
    float_sum += result.at("mean_nll_f32").get<double>();
  }
  EXPECT_NEAR(sum / golden_sum, 1, 0.005);
  EXPECT_NEAR(sum / float_sum, 1, 0.005);
}

void expect_golden(const std::string& name, const std::string& path) {
  const ModelSetup floats{.activations = Activations::F32, .cache = CacheType::F32, .context = 512};
  const ModelSetup bytes{.activations = Activations::Q8, .cache = CacheType::F16, .context = 512};
  expect_golden_ids(name, path);
  expect_golden_likelihood(name, path, floats);
  expect_float_words(golden(name), *open_session(path, floats));
  // Where 8-bit products are slower than floats nobody is given them unasked.
  if (!support::test_devices().front()->profile().eight_bit) return;
  expect_golden_likelihood(name, path, bytes);
  expect_golden_words(golden(name), *open_session(path, bytes));
}

TEST(Speaks, SmolLM2AsTheGolden) {
  NEED_MODEL(kSmolLM2);
  expect_golden(kSmolLM2, path);
}

TEST(Speaks, Gemma3AsTheGolden) {
  NEED_MODEL(kGemma3);
  expect_golden(kGemma3, path);
}

TEST(Speaks, SmolLM2TheSameFromFusedFilesShardsGzipAndTwoDevices) {
  NEED_MODEL(kSmolLM2);
  const TempDir dir;
  const ModelSetup options{.activations = Activations::Q8, .cache = CacheType::F16, .context = 256};
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
  ModelSetup two = options;
  const auto& devices = support::test_devices();
  two.devices = {devices.front(), devices.back()};
  EXPECT_EQ(greedy(*open_session(path, two), prompt, 32), expected);
}

}  // namespace
}  // namespace gguf_fuse::runtime
