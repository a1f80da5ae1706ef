// SPDX-License-Identifier: MIT
// A tiny model of every architecture that runs against the logits that llama.cpp computed from the same floats
// (tests/data/architectures/NAME.f32, which tests/peers/architectures.py writes).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <numeric>

#include "model/architecture.hpp"
#include "support/file_util.hpp"
#include "support/paths.hpp"
#include "support/runtime/run_model.hpp"
#include "support/temp_dir.hpp"
#include "support/tiny_model.hpp"

namespace gguf_fuse::runtime {
namespace {

using support::logit_difference;
using support::TempDir;
using support::tiny_text;
using support::value_of;

std::string stored_logits(std::string_view name) {
  return support::test_data("architectures/" + std::string(name) + ".f32");
}

/// Of architectures that run, with what is not computed: ALiBi.
constexpr std::string_view kRefused[] = {"baichuan+alibi"};

/// Rows of the architectures that run; rows of the others wait for theirs.
std::vector<std::string> runnable_models() {
  std::vector<std::string> names;
  for (const auto& model : support::tiny_models()) {
    const bool refused = std::find(std::begin(kRefused), std::end(kRefused), model.name) != std::end(kRefused);
    if (find_architecture(model.architecture()) != nullptr && !refused) names.emplace_back(model.name);
  }
  return names;
}

class TinyModels : public testing::TestWithParam<std::string> {
 protected:
  TinyModels() { support::write_file(path_, support::build_tiny_model(support::tiny_model(GetParam()))); }

  [[nodiscard]] std::unique_ptr<Session> open(bool fuse = true) const {
    return support::open_session(path_, {.all_logits = true, .fuse_gate_up = fuse, .fuse_qkv = fuse});
  }
  /// Attention on one device, feed-forwards on another.
  [[nodiscard]] std::unique_ptr<Session> open_apart() const {
    const auto& all = support::test_devices();
    return support::open_session(
        path_, {.all_logits = true,
                .devices = {all.front(), all.back()},
                .placement = {.overrides = {{.pattern = "ffn", .device = 1}, {.pattern = ".*", .device = 0}}}});
  }

  /// A row of logits for each token of the text.
  [[nodiscard]] static std::vector<float> expected() {
    const auto bytes = support::read_file(stored_logits(GetParam()));
    std::vector<float> logits(bytes.size() / sizeof(float));
    std::memcpy(logits.data(), bytes.data(), bytes.size());
    return logits;
  }
  /// A five-hundredth of the standard deviation of the logits.
  [[nodiscard]] static double tolerance(const std::vector<float>& logits) {
    const auto count = static_cast<double>(logits.size());
    const double mean = std::accumulate(logits.begin(), logits.end(), 0.0) / count;
    const double squares = std::inner_product(logits.begin(), logits.end(), logits.begin(), 0.0) / count;
    return 2e-3 * std::sqrt(squares - mean * mean);
  }

 private:
  TempDir dir_;
  std::string path_ = dir_.file("model.gguf");
};

TEST_P(TinyModels, BatchesGiveTheStoredLogits) {
  const auto session = open();
  value_of(session->evaluate(tiny_text()));
  const auto logits = expected();
  EXPECT_LE(logit_difference(value_of(session->logits()), logits).max, tolerance(logits));
}

TEST_P(TinyModels, SingleTokensGiveTheStoredLogits) {
  const auto session = open();
  std::vector<float> found;
  for (const std::int32_t token : tiny_text()) {
    value_of(session->evaluate(std::vector{token}));
    const auto row = value_of(session->logits());
    found.insert(found.end(), row.begin(), row.end());
  }
  const auto logits = expected();
  EXPECT_LE(logit_difference(found, logits).max, tolerance(logits));
}

TEST_P(TinyModels, FusedIsTheSameAsSeparate) {
  const auto fused = open();
  const auto separate = open(false);
  const auto text = tiny_text();
  const auto half = std::span(text).first(text.size() - 1);
  for (const auto& tokens : {half, std::span(text).last(1)}) {
    value_of(fused->evaluate(tokens));
    value_of(separate->evaluate(tokens));
    EXPECT_EQ(value_of(fused->logits()), value_of(separate->logits())) << tokens.size() << " tokens";
  }
}

TEST_P(TinyModels, HalvesMayLieOnDifferentDevices) {
  const auto together = open();
  const auto apart = open_apart();
  value_of(together->evaluate(tiny_text()));
  value_of(apart->evaluate(tiny_text()));
  EXPECT_EQ(value_of(apart->logits()), value_of(together->logits()));
}

std::string test_name(const testing::TestParamInfo<std::string>& model) {
  std::string name = model.param;
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
}
INSTANTIATE_TEST_SUITE_P(All, TinyModels, testing::ValuesIn(runnable_models()), test_name);

TEST(TinyModelTable, HasARowForEveryArchitectureThatRuns) {
  std::vector<std::string_view> names;
  for (const auto& model : support::tiny_models()) names.push_back(model.architecture());
  for (const Architecture& architecture : architectures()) {
    EXPECT_THAT(names, testing::Contains(architecture.name));
  }
}

TEST(TinyModelTable, WhatIsNotComputedIsRefused) {
  const TempDir dir;
  for (const std::string_view name : kRefused) {
    const std::string path = dir.file("model.gguf");
    support::write_file(path, support::build_tiny_model(support::tiny_model(name)));
    const auto model = RunnableModel::open(path, {.devices = support::test_devices()});
    ASSERT_FALSE(model) << name;
    EXPECT_EQ(model.error().code, ErrorCode::UnsupportedHyperparameter) << model.error().message();
  }
}

TEST(TinyModelTable, HasLogitsOfEveryRow) {
  for (const auto& model : support::tiny_models()) {
    EXPECT_TRUE(std::filesystem::exists(stored_logits(model.name))) << model.name;
  }
}

}  // namespace
}  // namespace gguf_fuse::runtime
