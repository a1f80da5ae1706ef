// SPDX-License-Identifier: MIT
// What generate() tells and asks while it works.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gguf_fuse/runtime/generate.hpp"
#include "support/runtime/run_model.hpp"

namespace gguf_fuse::runtime {
namespace {

using support::open_runnable;
using support::reference_path;
using support::value_of;
using testing::ElementsAre;

const std::vector<std::int32_t> kPrompt{1, 261, 264, 272, 5};

class MakeRoom : public testing::Test {
 protected:
  std::unique_ptr<Session> session(std::uint32_t context, std::uint32_t micro_batch = 512) {
    return value_of(Session::create(model_, {.context = context, .micro_batch = micro_batch}));
  }
  Result<Generation> speak(Session& session, const GenerateOptions& options) {
    Sampler sampler({.temperature = 0});
    return generate(session, *value_of(model_->tokenizer()), sampler, kPrompt, options, {});
  }
  std::shared_ptr<RunnableModel> model_ = open_runnable(reference_path("llama-q8_0"));
};

TEST_F(MakeRoom, TheProgressOfAPromptIsToldByMicroBatches) {
  std::vector<std::uint32_t> told;
  const auto small = session(64, 2);
  EXPECT_EQ(small->micro_batch(), 2U);
  const auto watched =
      value_of(speak(*small, {.tokens = 8, .prompt_progress = [&told](std::uint32_t done) { told.push_back(done); }}));
  EXPECT_THAT(told, ElementsAre(2U, 4U, 5U));
  EXPECT_EQ(watched.prompt_tokens, kPrompt.size());
  EXPECT_EQ(watched.tokens, value_of(speak(*session(64, 2), {.tokens = 8})).tokens);
}

TEST_F(MakeRoom, AFullSessionGoesOnWithWhatWasLeftInIt) {
  constexpr std::uint32_t kContext = 16;
  const auto full = session(kContext);
  int times = 0;
  const auto make_room = [&](std::span<const std::int32_t> generated) -> Result<bool> {
    ++times;
    EXPECT_EQ(full->size(), kContext);
    // the last one is not evaluated yet
    EXPECT_NE(generated.size(), 0U);
    const std::vector<std::int32_t> rest(full->tokens().begin() + 10, full->tokens().end());
    GGUF_FUSE_CHECK(full->truncate(2));
    GGUF_FUSE_CHECK(full->evaluate(rest));
    return true;
  };
  const auto generation = value_of(speak(*full, {.tokens = 40, .ignore_end = true, .make_room = make_room}));
  EXPECT_EQ(generation.tokens.size(), 40U);
  EXPECT_EQ(generation.reason, FinishReason::TokenLimit);
  EXPECT_EQ(times, 4);
  // the last token is what a session says that never held anything else
  const auto fresh = session(64);
  static_cast<void>(value_of(fresh->evaluate(full->tokens())));
  Sampler sampler({.temperature = 0});
  EXPECT_EQ(value_of(sampler.sample(*fresh)), generation.tokens.back());
}

TEST_F(MakeRoom, WithoutRoomTheTextEnds) {
  const auto full = session(8);
  const auto generation = value_of(speak(
      *full, {.ignore_end = true, .make_room = [](std::span<const std::int32_t>) -> Result<bool> { return false; }}));
  EXPECT_EQ(generation.reason, FinishReason::ContextFull);
  const auto interrupted =
      value_of(speak(*session(8), {.ignore_end = true, .make_room = [](std::span<const std::int32_t>) -> Result<bool> {
                                     return fail(Error{.code = ErrorCode::Interrupted});
                                   }}));
  EXPECT_EQ(interrupted.reason, FinishReason::Cancelled);
  const auto failed =
      speak(*session(8), {.ignore_end = true, .make_room = [](std::span<const std::int32_t>) -> Result<bool> {
                            return fail(Error{.code = ErrorCode::NotFinite});
                          }});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::NotFinite);
}

}  // namespace
}  // namespace gguf_fuse::runtime
