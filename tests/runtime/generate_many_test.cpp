// SPDX-License-Identifier: MIT
#include "gguf_fuse/runtime/generate_many.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "support/runtime/run_model.hpp"

namespace gguf_fuse::runtime {
namespace {

using support::open_runnable;
using support::reference_path;
using support::value_of;

using Tokens = std::vector<std::int32_t>;

/// Sums in float: what is computed together differs in the last bits only.
class GenerateMany : public testing::Test {
 protected:
  std::shared_ptr<Engine> engine(std::uint32_t context, std::uint32_t sessions, std::uint32_t micro_batch = 512) {
    return value_of(Engine::create(model_, {.context = context,
                                            .sessions = sessions,
                                            .micro_batch = micro_batch,
                                            .cache_k = CacheType::F32,
                                            .cache_v = CacheType::F32}));
  }
  const Tokenizer& tokenizer() { return *value_of(model_->tokenizer()); }

  Generation alone(const Tokens& prompt, const GenerateManyOptions& options, std::uint32_t context) {
    const auto session = value_of(engine(context, 1)->open_session());
    Sampler sampler(options.sampler);
    return value_of(generate(*session, tokenizer(), sampler, prompt, options.generate, {}));
  }

  Result<GenerateManyReport> answer(Engine& engine, const std::vector<Tokens>& prompts,
                                    const GenerateManyOptions& options) {
    answers_.clear();
    return generate_many(engine, tokenizer(), prompts, options, [this](std::size_t index, Result<Generation> result) {
      EXPECT_TRUE(answers_.emplace(index, std::move(result)).second) << index;
    });
  }

  void expect_as_alone(const std::vector<Tokens>& prompts, const GenerateManyOptions& options, std::uint32_t context) {
    ASSERT_EQ(answers_.size(), prompts.size());
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      const Generation expected = alone(prompts[i], options, context);
      const Generation& found = value_of(answers_.at(i));
      EXPECT_EQ(found.tokens, expected.tokens) << i;
      EXPECT_EQ(found.text, expected.text) << i;
      EXPECT_EQ(found.reason, expected.reason) << i;
    }
  }

  Control control_;
  std::shared_ptr<RunnableModel> model_ = open_runnable(reference_path("llama-q8_0"), {.control = &control_});
  std::map<std::size_t, Result<Generation>> answers_;
};

std::vector<Tokens> prompts_of(std::size_t count, std::size_t shared = 0) {
  std::vector<Tokens> prompts;
  for (std::size_t i = 0; i < count; ++i) {
    Tokens prompt{1};
    for (std::size_t j = 1; j < shared; ++j) prompt.push_back(static_cast<std::int32_t>(261 + j * 7 % 50));
    for (std::size_t j = 0; j < 3 + i % 4; ++j)
      prompt.push_back(static_cast<std::int32_t>(262 + (i * 11 + j * 5) % 50));
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

const GenerateOptions kSome{.tokens = 10, .ignore_end = true};

TEST_F(GenerateMany, EachIsAsAloneHoweverManyAtATime) {
  const auto prompts = prompts_of(7);
  for (const std::uint32_t parallel : {1U, 3U, 7U}) {
    for (const std::uint32_t micro_batch : {4U, 512U}) {
      const GenerateManyOptions options{.generate = kSome, .sampler = {.seed = 3}, .parallel = parallel};
      const auto report = value_of(answer(*engine(1024, parallel, micro_batch), prompts, options));
      expect_as_alone(prompts, options, 1024);
      EXPECT_EQ(report.tokens, 70U);
      EXPECT_EQ(report.shared_tokens, 0U);
      EXPECT_FALSE(report.stopped);
    }
  }
}

TEST_F(GenerateMany, WhatAllBeginWithIsEvaluatedOnce) {
  const auto prompts = prompts_of(5, 100);
  std::size_t all = 0;
  for (const Tokens& prompt : prompts) all += prompt.size();
  const GenerateManyOptions options{.generate = kSome, .sampler = {.temperature = 0}, .parallel = 2};
  const auto shared = value_of(answer(*engine(1024, 3), prompts, options));
  expect_as_alone(prompts, options, 1024);
  EXPECT_GE(shared.shared_tokens, 100U);
  EXPECT_EQ(shared.prompt_tokens, all - std::size_t{4} * shared.shared_tokens);
  // without a session for it
  EXPECT_EQ(value_of(answer(*engine(1024, 2), prompts, options)).prompt_tokens, all);
  expect_as_alone(prompts, options, 1024);
  // a prompt that is all of it still has a last token to evaluate
  const std::vector<Tokens> equal{prompts.front(), prompts.front()};
  EXPECT_EQ(value_of(answer(*engine(1024, 3), equal, options)).prompt_tokens, prompts.front().size() + 2);
  expect_as_alone(equal, options, 1024);
}

TEST_F(GenerateMany, WhoFindsNoPlaceWaitsAndSaysTheSame) {
  const auto prompts = prompts_of(4);
  // four texts until the context ends, where there is room for one and a little
  const GenerateManyOptions options{
      .generate = {.ignore_end = true}, .sampler = {.temperature = 0}, .parallel = 4, .context = 600};
  const auto report = value_of(answer(*engine(700, 4), prompts, options));
  EXPECT_GT(report.restarts, 0U);
  expect_as_alone(prompts, options, 600);
  for (const auto& [index, result] : answers_) EXPECT_EQ(result->reason, FinishReason::ContextFull) << index;
}

TEST_F(GenerateMany, WhatIsWrongWithOneIsItsOwn) {
  auto prompts = prompts_of(3);
  prompts.insert(prompts.begin() + 1, {Tokens{}, Tokens(50, 261), Tokens{1, 100'000}});
  const GenerateManyOptions options{.generate = kSome, .sampler = {.temperature = 0}, .parallel = 3, .context = 40};
  value_of(answer(*engine(256, 3), prompts, options));
  ASSERT_EQ(answers_.size(), 6U);
  EXPECT_EQ(answers_.at(1).error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(answers_.at(2).error().code, ErrorCode::ContextFull);
  EXPECT_EQ(answers_.at(3).error().code, ErrorCode::BadToken);
  for (const std::size_t index : {0U, 4U, 5U}) {
    EXPECT_EQ(value_of(answers_.at(index)).tokens, alone(prompts[index], options, 256).tokens);
  }
}

TEST_F(GenerateMany, AStopEndsAll) {
  const auto prompts = prompts_of(6);
  const GenerateManyOptions options{.generate = kSome, .parallel = 2};
  const auto engine_of_two = engine(256, 2);
  std::size_t answered = 0;
  const auto report = value_of(
      generate_many(*engine_of_two, tokenizer(), prompts, options, [&](std::size_t, const Result<Generation>& result) {
        EXPECT_TRUE(result);
        ++answered;
        control_.cancelled = true;
      }));
  EXPECT_TRUE(report.stopped);
  EXPECT_LE(answered, 2U);  // those that ended in the same step
}

TEST_F(GenerateMany, NoTokensAreWantedAndNoneAreSampled) {
  const auto prompts = prompts_of(3);
  const GenerateManyOptions options{.generate = {.tokens = 0}, .parallel = 2};
  EXPECT_EQ(value_of(answer(*engine(256, 2), prompts, options)).tokens, 0U);
  expect_as_alone(prompts, options, 256);
}

TEST_F(GenerateMany, TooFewSessionsAreAnError) {
  const auto prompts = prompts_of(2);
  EXPECT_EQ(answer(*engine(256, 2), prompts, {.parallel = 3}).error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(answer(*engine(256, 2), prompts, {.parallel = 0}).error().code, ErrorCode::InvalidArgument);
  EXPECT_TRUE(answers_.empty());
}

}  // namespace
}  // namespace gguf_fuse::runtime
