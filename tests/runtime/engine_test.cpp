// SPDX-License-Identifier: MIT
// Many sequences on one engine: each says what it says alone, and what is wrong with one is no other's business.
#include "gguf_fuse/runtime/engine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "engine_scene.hpp"
#include "gguf_fuse/runtime/sampler.hpp"
#include "support/random_model.hpp"

namespace gguf_fuse::runtime {
namespace {

using support::Random;
using support::value_of;
using testing::ElementsAreArray;
using testing::IsEmpty;

template <typename T>
ErrorCode code_of(const Result<T>& result) {
  if (result) throw std::runtime_error("no error");
  return result.error().code;
}

class Engines : public testing::TestWithParam<std::string> {
 protected:
  EngineScene scene_{GetParam()};
  Random random_{1, GetParam()};
};

// Prompts of some meet single tokens of others in a step; sessions begin and end all the time.
TEST_P(Engines, EachOfManySaysWhatItSaysAlone) {
  constexpr std::array<std::size_t, 11> kPrompts{1, 17, 2, 64, 65, 3, 130, 16, 33, 5, 70};
  constexpr std::size_t kMost = 8, kRounds = 4;
  const auto engine = scene_.engine(kMost, 2048, 48);
  struct Talk {
    std::unique_ptr<Session> session;
    std::size_t rounds = 0;
  };
  std::vector<Talk> talks;
  std::size_t begun = 0;
  while (begun < kPrompts.size() || !talks.empty()) {
    std::vector<std::pair<Session*, Tokens>> texts;
    texts.reserve(kMost);
    for (Talk& talk : talks) {
      texts.emplace_back(talk.session.get(), Tokens{value_of(talk.session->top(1)).front().token});
    }
    for (int i = 0; i < 3 && begun < kPrompts.size() && talks.size() < kMost; ++i) {
      Talk& talk = talks.emplace_back(Talk{.session = value_of(engine->open_session()), .rounds = kRounds + begun % 3});
      texts.emplace_back(talk.session.get(), scene_.random_tokens(random_, kPrompts[begun++]));
    }
    value_of(evaluate(*engine, texts));
    for (Talk& talk : talks) scene_.expect_alone(*talk.session), --talk.rounds;
    std::erase_if(talks, [](const Talk& talk) { return talk.rounds == 0; });
  }
  EXPECT_EQ(pages_held(*engine), 0U);
}

// The factors of long texts (LongRoPE) and of short ones take turns.
TEST_P(Engines, LongAndShortOnesTakeTurns) {
  const auto engine = scene_.engine(3, 2048, 64);
  const auto growing = value_of(engine->open_session()), brief = value_of(engine->open_session());
  value_of(evaluate(*engine, {{growing.get(), scene_.random_tokens(random_, 250)}, {brief.get(), {5, 6, 7}}}));
  for (int i = 0; i < 10; ++i) {
    const auto token = static_cast<std::int32_t>(random_.below(40));
    value_of(evaluate(*engine, {{growing.get(), {token}}, {brief.get(), {token + 1}}}));
  }
  scene_.expect_alone(*growing);
  scene_.expect_alone(*brief);
  const auto again = value_of(engine->open_session());
  value_of(again->begin_as(*growing, 20));
  value_of(evaluate(*engine, {{again.get(), {9}}, {growing.get(), {10}}}));
  for (Session* session : {growing.get(), brief.get(), again.get()}) scene_.expect_alone(*session);
}

INSTANTIATE_TEST_SUITE_P(Of, Engines, testing::Values("llama", "qwen3moe", "gemma3", "gpt-oss", "deepseek2", "phi3"),
                         [](const auto& model) {
                           std::string name = model.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(Engine, QuantisedWeightsSayTheSame) {
  const auto model = support::open_runnable(support::reference_path("llama-q8_0"));
  const auto engine = value_of(Engine::create(model, EngineScene::options(8, 512)));
  const auto alone = value_of(Session::create(model, EngineScene::options(1, 512)));
  const auto reference = support::read_reference("llama-q8_0");
  std::vector<std::unique_ptr<Session>> sessions;
  std::vector<std::pair<Session*, Tokens>> texts;
  for (std::size_t i = 0; i < 8; ++i) {
    Tokens tokens = reference.sequences.front().tokens;
    tokens.resize(1 + i % tokens.size(), 7);
    texts.emplace_back(sessions.emplace_back(value_of(engine->open_session())).get(), tokens);
  }
  value_of(evaluate(*engine, texts));
  for (const auto& [session, tokens] : texts) {
    value_of(alone->truncate(0));
    value_of(alone->evaluate(tokens));
    EXPECT_LE(support::logit_difference(value_of(session->logits()), value_of(alone->logits())).max,
              1e-4 * reference.spread);
  }
}

TEST(Engine, AllLogitsAreEachOnesOwn) {
  EngineScene scene("llama");
  Random random(2);
  SessionOptions options = EngineScene::options(3, 512);
  options.all_logits = true;
  const auto engine = value_of(Engine::create(scene.model(), options));
  const auto a = value_of(engine->open_session()), b = value_of(engine->open_session());
  const Tokens first = scene.random_tokens(random, 150), second = scene.random_tokens(random, 20);
  value_of(evaluate(*engine, {{a.get(), first}, {b.get(), second}}));
  const std::size_t vocabulary = scene.model()->description().vocabulary;
  for (const auto& [session, text] : {std::pair(a.get(), first), std::pair(b.get(), second)}) {
    const auto rows = value_of(session->logits());
    ASSERT_EQ(rows.size(), text.size() * vocabulary);
    for (const std::size_t last : {std::size_t{0}, text.size() / 2, text.size() - 1}) {
      const std::vector<float> row(rows.begin() + static_cast<std::ptrdiff_t>(last * vocabulary),
                                   rows.begin() + static_cast<std::ptrdiff_t>((last + 1) * vocabulary));
      const auto& expected = scene.alone(Tokens(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(last + 1)));
      EXPECT_LE(support::logit_difference(row, expected).max, 1e-4);
    }
  }
}

TEST(Engine, ASessionMoreThanThereMayBeIsRefused) {
  const EngineScene scene("llama");
  const auto engine = scene.engine(2, 512);
  const auto first = value_of(engine->open_session());
  auto second = value_of(engine->open_session());
  EXPECT_EQ(code_of(engine->open_session()), ErrorCode::InvalidArgument);
  second.reset();
  EXPECT_TRUE(engine->open_session());
  for (const std::uint32_t sessions : {0U, 1025U, std::numeric_limits<std::uint32_t>::max()}) {
    EXPECT_EQ(code_of(Engine::create(scene.model(), EngineScene::options(sessions, 512))), ErrorCode::InvalidArgument);
  }
}

TEST(Engine, PartsThatMakeNoSenseAppendNothing) {
  EngineScene scene("llama");
  const auto engine = scene.engine(3, 256), other = scene.engine(1, 256);
  const auto a = value_of(engine->open_session()), b = value_of(engine->open_session());
  const auto stranger = value_of(other->open_session());
  value_of(evaluate(*engine, {{a.get(), {1, 2}}, {b.get(), {3}}}));
  const Tokens much(300, 1);
  EXPECT_EQ(code_of(evaluate(*engine, {{a.get(), {4}}, {a.get(), {5}}})), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of(evaluate(*engine, {{a.get(), {4}}, {stranger.get(), {5}}})), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of(evaluate(*engine, {{a.get(), {4}}, {nullptr, {5}}})), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of(evaluate(*engine, {{a.get(), {4}}, {b.get(), {5, -1}}})), ErrorCode::BadToken);
  EXPECT_EQ(code_of(evaluate(*engine, {{a.get(), {4}}, {b.get(), much}})), ErrorCode::ContextFull);
  EXPECT_EQ(code_of(a->begin_as(*stranger, 0)), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of(a->begin_as(*b, 2)), ErrorCode::InvalidArgument);
  EXPECT_EQ(value_of(engine->evaluate({})).tokens, 0U);
  EXPECT_EQ(value_of(evaluate(*engine, {{a.get(), {}}, {b.get(), {}}})).tokens, 0U);
  EXPECT_THAT(a->tokens(), ElementsAreArray({1, 2}));
  EXPECT_THAT(b->tokens(), ElementsAreArray({3}));
  EXPECT_THAT(stranger->tokens(), IsEmpty());
  scene.expect_alone(*a);
  scene.expect_alone(*b);
}

TEST(Engine, ItsSessionsKeepItAlive) {
  EngineScene scene("llama");
  auto engine = scene.engine(2, 256);
  auto a = value_of(engine->open_session());
  const auto b = value_of(engine->open_session());
  engine.reset();
  value_of(evaluate(a->engine(), {{a.get(), {1, 2, 3}}, {b.get(), {4, 5}}}));
  a.reset();
  value_of(b->evaluate(std::vector{6}));
  scene.expect_alone(*b);
}

TEST(Engine, WarmsUpWhileSessionsHoldText) {
  EngineScene scene("gemma3");
  Random random(3);
  const auto engine = scene.engine(2, 256);
  const auto a = value_of(engine->open_session()), b = value_of(engine->open_session());
  value_of(
      evaluate(*engine, {{a.get(), scene.random_tokens(random, 128)}, {b.get(), scene.random_tokens(random, 127)}}));
  const std::uint32_t held = pages_held(*engine);
  value_of(engine->warm_up());
  EXPECT_EQ(pages_held(*engine), held);
  for (Session* session : {a.get(), b.get()}) {
    scene.expect_alone(*session);
    value_of(session->evaluate(std::vector{1}));
    scene.expect_alone(*session);
  }
}

TEST(Engine, AControlStopsItsSessionAlone) {
  EngineScene scene("llama");
  const auto engine = scene.engine(2, 256);
  Control control;
  const auto stopped = value_of(engine->open_session(&control)), other = value_of(engine->open_session());
  value_of(evaluate(*engine, {{stopped.get(), {1, 2, 3}}, {other.get(), {4}}}));
  value_of(stopped->truncate(2));
  control.cancelled = true;
  EXPECT_EQ(value_of(evaluate(*engine, {{stopped.get(), {5}}, {other.get(), {6}}})).tokens, 1U);
  EXPECT_THAT(stopped->tokens(), ElementsAreArray({1, 2}));
  EXPECT_EQ(code_of(stopped->evaluate(std::vector{5})), ErrorCode::Interrupted);
  // what truncate() has lost cannot be computed now
  EXPECT_EQ(code_of(stopped->logits()), ErrorCode::Interrupted);
  EXPECT_EQ(code_of(stopped->top(1)), ErrorCode::Interrupted);
  EXPECT_EQ(code_of(stopped->statistics()), ErrorCode::Interrupted);
  EXPECT_EQ(code_of(Sampler({.temperature = 0}).sample(*stopped)), ErrorCode::Interrupted);
  EXPECT_THAT(stopped->tokens(), ElementsAreArray({1, 2}));
  scene.expect_alone(*other);
  control.cancelled = false;
  scene.expect_alone(*stopped);
}

// Numbers that are none, in pages that others get, and in a step that fails for all.
TEST(Engine, ASpoiltSessionSpoilsNoOther) {
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
            std::memcpy(&embedding.data[std::size_t{9} * 64 * sizeof(float)], &nan, sizeof nan);
          })
          .write(dir.file("nan.gguf"));
  const auto model = support::open_runnable(path);
  const auto engine = value_of(Engine::create(model, EngineScene::options(2, 256)));
  const auto good = value_of(engine->open_session());
  value_of(good->evaluate(std::vector{1, 2, 3}));
  const auto expected = value_of(good->logits());
  auto bad = value_of(engine->open_session());
  EXPECT_EQ(code_of(bad->evaluate(Tokens(70, 9))), ErrorCode::NotFinite);
  EXPECT_LE(support::logit_difference(value_of(good->logits()), expected).max, 2e-5);
  EXPECT_EQ(code_of(evaluate(*engine, {{good.get(), {4}}, {bad.get(), {9}}})), ErrorCode::NotFinite);
  EXPECT_THAT(good->tokens(), ElementsAreArray({1, 2, 3}));
  bad = nullptr;
  const auto heir = value_of(engine->open_session());
  value_of(heir->evaluate(std::vector{1, 2, 3}));
  EXPECT_LE(support::logit_difference(value_of(heir->logits()), expected).max, 2e-5);
  EXPECT_LE(support::logit_difference(value_of(good->logits()), expected).max, 2e-5);
}

}  // namespace
}  // namespace gguf_fuse::runtime
