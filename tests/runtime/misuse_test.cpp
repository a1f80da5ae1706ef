// SPDX-License-Identifier: MIT
// Calls that make no sense, or that come at an odd time: an error value or a sane answer each, and never a crash.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "gguf_fuse/runtime/generate.hpp"
#include "support/random_model.hpp"
#include "support/runtime/run_model.hpp"
#include "support/temp_dir.hpp"

namespace gguf_fuse::runtime {
namespace {

using support::logit_difference;
using support::ModelSetup;
using support::open_runnable;
using support::open_session;
using support::reference_path;
using support::value_of;

const std::vector<std::int32_t> kTokens{1, 261, 264, 272};

std::unique_ptr<Session> session_with(const ModelSetup& setup) {
  return open_session(reference_path("llama-q8_0"), setup);
}

template <typename T>
void expect_invalid(const Result<T>& result) {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::InvalidArgument) << result.error().message();
}

TEST(Misuse, NullPointers) {
  expect_invalid(Session::create(nullptr));
  expect_invalid(RunnableModel::open(reference_path("llama-q8_0"), {}));
  expect_invalid(RunnableModel::open(reference_path("llama-q8_0"), {.devices = {nullptr}}));
  expect_invalid(
      RunnableModel::open(reference_path("llama-q8_0"), {.devices = {support::test_devices().front(), nullptr}}));
  expect_invalid(open_model(std::unique_ptr<Source>()));
}

TEST(Misuse, AFreshSessionHasNoLogits) {
  for (const bool all : {false, true}) {
    const auto session = session_with({.all_logits = all});
    for (int round = 0; round < 2; ++round) {  // and none again when it was emptied
      expect_invalid(session->top(1));
      expect_invalid(session->logits());
      expect_invalid(session->statistics());
      for (const float temperature : {0.0F, 0.8F}) {
        Sampler sampler({.temperature = temperature});
        expect_invalid(sampler.sample(*session));
      }
      EXPECT_EQ(value_of(session->evaluate({})).tokens, 0U);
      value_of(session->truncate(0));
      value_of(session->evaluate(kTokens));
      value_of(session->truncate(0));
    }
  }
}

TEST(Misuse, SamplersWorkOnEverySession) {
  const auto usual = session_with({});
  value_of(usual->evaluate(kTokens));
  for (const SamplerOptions& options : {SamplerOptions{.temperature = 0}, SamplerOptions{},
                                        SamplerOptions{.top_k = 0, .penalty_last = -1, .repeat_penalty = 1.1F}}) {
    const std::int32_t expected = value_of(Sampler(options).sample(*usual));
    for (const ModelSetup& setup :
         {ModelSetup{.all_logits = true}, ModelSetup{.micro_batch = 3, .all_logits = true}, ModelSetup{.candidates = 0},
          ModelSetup{.candidates = 5}, ModelSetup{.candidates = 100000}}) {
      const auto session = session_with(setup);
      value_of(session->evaluate(kTokens));
      EXPECT_EQ(value_of(Sampler(options).sample(*session)), expected) << setup.candidates;
    }
  }
}

TEST(Misuse, LogitsThatWereLostAreComputedAgain) {
  for (const bool all : {false, true}) {
    const auto session = session_with({.all_logits = all});
    value_of(session->evaluate(kTokens));
    const auto expected = value_of(session->logits());
    value_of(session->evaluate(std::vector{5, 6}));
    value_of(session->truncate(static_cast<std::uint32_t>(kTokens.size())));
    const auto again = value_of(session->logits());  // the last token's alone
    ASSERT_EQ(again.size(), value_of(session->statistics()).size() * 320);
    EXPECT_EQ(again.size(), 320U);
    const std::vector<float> last(expected.end() - 320, expected.end());
    EXPECT_LE(logit_difference(again, last).max, 2e-5);
    EXPECT_EQ(session->size(), kTokens.size());
  }
}

TEST(Misuse, AllLogitsAreThoseOfAllTokens) {
  const std::vector<std::int32_t> tokens(150, 7);  // more than are computed at once
  const auto session = session_with({.all_logits = true});
  value_of(session->evaluate(tokens));
  EXPECT_EQ(value_of(session->statistics()).size(), tokens.size());
  EXPECT_EQ(value_of(session->logits()).size(), tokens.size() * 320);
}

TEST(Misuse, SizesAtTheEdges) {
  for (const std::uint32_t micro_batch : {0U, 1U, std::numeric_limits<std::uint32_t>::max()}) {
    const auto session = session_with({.micro_batch = micro_batch, .context = 1});
    value_of(session->warm_up());
    EXPECT_EQ(session->evaluate(std::vector{1, 2}).error().code, ErrorCode::ContextFull);
    value_of(session->evaluate(std::vector{1}));
    value_of(session->warm_up());  // with no room at all
    EXPECT_EQ(value_of(session->top(0)).size(), 0U);
    EXPECT_EQ(value_of(session->top(1U << 31U)).size(), 40U);
  }
  const auto huge = Session::create(open_runnable(reference_path("llama-q8_0")),
                                    {.context = std::numeric_limits<std::uint32_t>::max()});
  ASSERT_FALSE(huge);
  EXPECT_THAT(huge.error().code, testing::AnyOf(ErrorCode::OutOfDeviceMemory, ErrorCode::BufferTooLarge));
}

TEST(Misuse, WhatWasMovedFromStillAnswers) {
  Model model = value_of(open_model(reference_path("llama-q8_0")));
  const Model taken = std::move(model);
  // NOLINTBEGIN(bugprone-use-after-move)
  EXPECT_EQ(model.info.metadata().size(), 0U);
  EXPECT_EQ(model.info.tensor_count(), 0U);
  EXPECT_EQ(model.info.total_bytes(), 0U);
  EXPECT_FALSE(model.sequential());
  EXPECT_TRUE(model.check_unchanged());
  Tokenizer tokenizer = *value_of(open_runnable(reference_path("llama-q8_0"))->tokenizer());
  const Tokenizer other = std::move(tokenizer);
  EXPECT_EQ(tokenizer.size(), other.size());
  EXPECT_EQ(value_of(tokenizer.tokenize("abc")), value_of(other.tokenize("abc")));
  // NOLINTEND(bugprone-use-after-move)
  for (const std::int32_t token :
       {-1, 320, std::numeric_limits<std::int32_t>::max(), std::numeric_limits<std::int32_t>::min()}) {
    EXPECT_EQ(other.piece(token, true), "");
    EXPECT_FALSE(other.is_end_of_generation(token));
    EXPECT_FALSE(other.is_control(token));
    EXPECT_EQ(other.detokenize(std::vector{token}), "");
  }
}

// The keys and values of the token that spoilt it lie in the caches, and nobody may see them.
TEST(Misuse, ASessionGoesOnAfterNumbersThatAreNone) {
  const support::TempDir dir;
  const std::string path =
      support::RandomModel("llama")
          .vocabulary(32)
          .type("token_embd", "F32")
          .tensor({"output.weight", "F32", {64, 32}})
          .edit([](std::vector<support::TensorSpec>& table) {
            support::TensorSpec& embedding =
                *std::find_if(table.begin(), table.end(), [](const auto& t) { return t.name == "token_embd.weight"; });
            embedding.data = support::random_tensor(1, embedding);
            const float nan = std::numeric_limits<float>::quiet_NaN();
            std::memcpy(&embedding.data[9 * 64 * sizeof(float)], &nan, sizeof nan);  // of token 9
          })
          .write(dir.file("nan.gguf"));
  const std::vector<std::int32_t> good{1, 2, 3};
  const auto clean = open_session(path);
  value_of(clean->evaluate(good));
  const auto after_good = value_of(clean->logits());
  value_of(clean->evaluate(std::vector{4}));
  const auto expected = value_of(clean->logits());

  const auto session = open_session(path);
  value_of(session->evaluate(good));
  for (const std::vector<std::int32_t>& bad : {std::vector{9}, {9, 9, 9, 9, 9, 9}}) {
    const auto spoilt = session->evaluate(bad);
    ASSERT_FALSE(spoilt);
    EXPECT_EQ(spoilt.error().code, ErrorCode::NotFinite);
    EXPECT_THAT(session->tokens(), testing::ElementsAreArray(good));
    EXPECT_LE(logit_difference(value_of(session->logits()), after_good).max, 2e-5);
  }
  value_of(session->evaluate(std::vector{4}));
  EXPECT_LE(logit_difference(value_of(session->logits()), expected).max, 2e-5);
}

}  // namespace
}  // namespace gguf_fuse::runtime
