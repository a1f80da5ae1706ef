// SPDX-License-Identifier: MIT
// The pages of the KV cache: memory follows the tokens that are there, what is shared is there once, and none is lost.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <set>

#include "engine_scene.hpp"

namespace gguf_fuse::runtime {
namespace {

using detail::HeldPages;
using detail::kSlackPages;
using detail::PageGroup;
using detail::PagePool;
using support::Random;
using support::value_of;
using testing::ElementsAre;

constexpr std::uint32_t kFirstPages = 16;

/// Of the tiny Llama: 4 layers, keys and values of 2 heads of 16 floats.
constexpr std::uint64_t kBytesPerPage = std::uint64_t{kPageTokens} * 4 * 2 * 2 * 16 * sizeof(float);

TEST(PagePool, GivesEachPageToOneHolderAtATime) {
  PagePool pool(10);
  EXPECT_EQ(pool.free(), 10U);
  EXPECT_EQ(pool.take(), std::nullopt);
  pool.grow(4);
  std::set<std::uint32_t> taken;
  for (int i = 0; i < 4; ++i) taken.insert(pool.take().value());
  EXPECT_THAT(taken, ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(pool.take(), std::nullopt);
  EXPECT_EQ(pool.free(), 6U);
  pool.release(2);
  EXPECT_EQ(pool.take(), 2U);
  pool.grow(10);
  for (std::uint32_t page = 4; page < 10; ++page) EXPECT_EQ(pool.take(), page);
  EXPECT_EQ(pool.free(), 0U);
}

TEST(PagePool, ASharedPageIsFreeWhenAllHaveReleasedIt) {
  PagePool pool(2);
  pool.grow(2);
  const std::uint32_t page = pool.take().value();
  pool.share(page);
  pool.share(page);
  EXPECT_EQ(pool.holders(page), 3U);
  for (const std::uint32_t free : {1U, 1U, 2U}) {
    pool.release(page);
    EXPECT_EQ(pool.free(), free);
  }
}

TEST(PagePool, WantsTwiceAsManyUpToItsLimit) {
  PagePool pool(100);
  EXPECT_EQ(pool.wanted(3), 3U);
  pool.grow(16);
  EXPECT_EQ(pool.wanted(0), 16U);
  EXPECT_EQ(pool.wanted(16), 16U);
  EXPECT_EQ(pool.wanted(17), 32U);
  EXPECT_EQ(pool.wanted(60), 60U);
  EXPECT_EQ(pool.wanted(100), 100U);
  pool.grow(60);
  EXPECT_EQ(pool.wanted(61), 100U);
}

// Without layers nothing is on any device.
class PageGroups : public testing::Test {
 protected:
  PageGroup windowed_{100, 64, 4, 64};
  HeldPages held_;

  PageGroups() { value_of(windowed_.grow(64)); }
};

TEST_F(PageGroups, PagesBeforeTheWindowComeBackLate) {
  constexpr std::uint32_t kCount = 30 * kPageTokens;
  value_of(windowed_.hold(held_, 0, 0, kCount));
  EXPECT_EQ(windowed_.pool().free(), 34U);
  windowed_.release_before_window(held_, kCount);
  constexpr std::uint32_t kFirst = (kCount - 99) / kPageTokens - kSlackPages;
  EXPECT_EQ(held_.first, kFirst);
  EXPECT_EQ(windowed_.pool().free(), 34U + kFirst);
  // a token at this position looks at 99 before it
  const std::uint32_t least = kFirst * kPageTokens + 99;
  EXPECT_TRUE(windowed_.sees_all(held_, least));
  EXPECT_FALSE(windowed_.sees_all(held_, least - 1));
  windowed_.release_behind(held_, 0);
  EXPECT_EQ(windowed_.pool().free(), 64U);
  EXPECT_TRUE(windowed_.sees_all(held_, 0));
}

TEST_F(PageGroups, TheLastOfSeveralWritersNeedsNoCopy) {
  std::array<HeldPages, 3> held;
  value_of(windowed_.hold(held[0], 0, 0, 70));
  windowed_.share(held[0], held[1], 70);
  windowed_.share(held[0], held[2], 64);
  const auto needed = [&](std::initializer_list<PageGroup::Demand> demands) {
    return windowed_.needed(std::vector<PageGroup::Demand>(demands));
  };
  const PageGroup::Demand a{.held = &held[0], .position = 70, .end = 71},
      b{.held = &held[1], .position = 70, .end = 71}, c{.held = &held[2], .position = 64, .end = 129};
  EXPECT_EQ(needed({a}), 1U);
  EXPECT_EQ(needed({a, b}), 1U);
  EXPECT_EQ(needed({c}), 2U);
  EXPECT_EQ(needed({a, b, c}), 3U);
  const std::uint32_t free = windowed_.pool().free();
  value_of(windowed_.hold(held[0], 0, 70, 71));
  value_of(windowed_.hold(held[1], 1, 70, 71));
  EXPECT_EQ(free - windowed_.pool().free(), 1U);
  EXPECT_EQ(held[0].pages[0], held[1].pages[0]);
  EXPECT_NE(held[0].pages[1], held[1].pages[1]);
  for (HeldPages& one : held) windowed_.release_behind(one, 0);
  EXPECT_EQ(windowed_.pool().free(), 64U);
}

TEST(EnginePages, MemoryFollowsTheTokensThatAreThere) {
  const EngineScene scene("llama");
  Random random(4);
  const auto engine = scene.engine(8, 8 * 4096);
  std::vector<std::unique_ptr<Session>> sessions;
  std::vector<std::pair<Session*, Tokens>> few, more;
  for (int i = 0; i < 8; ++i) {
    Session* const session = sessions.emplace_back(value_of(engine->open_session())).get();
    few.emplace_back(session, scene.random_tokens(random, 10));
    more.emplace_back(session, scene.random_tokens(random, 190));
  }
  value_of(evaluate(*engine, few));
  EXPECT_EQ(engine->cache_bytes(), kFirstPages * kBytesPerPage);
  value_of(evaluate(*engine, more));  // 4 pages each
  EXPECT_EQ(engine->cache_bytes(), 32 * kBytesPerPage);
  EXPECT_LT(engine->cache_bytes() * 16, 8 * 4096 / kPageTokens * kBytesPerPage + 1);
  sessions.clear();
  EXPECT_EQ(pages_held(*engine), 0U);
}

TEST(EnginePages, WindowsGivePagesBack) {
  EngineScene scene("gemma3");
  Random random(5);
  constexpr std::uint32_t kBatch = 64;
  const auto engine = scene.engine(1, 4096, kBatch);
  const auto session = value_of(engine->open_session());
  PageGroup* windowed = nullptr;
  for (PageGroup& group : engine->state().groups) {
    if (group.window() != 0) windowed = &group;
  }
  ASSERT_NE(windowed, nullptr);
  std::uint64_t bytes = 0;
  for (int i = 0; i < 24; ++i) {
    value_of(session->evaluate(scene.random_tokens(random, kBatch - 1)));
    const std::uint32_t held = windowed->pool().limit() - windowed->pool().free();
    EXPECT_LE(held, kSlackPages + 3) << session->size();
    if (i == 12) bytes = windowed->bytes();
  }
  EXPECT_EQ(windowed->bytes(), bytes);
  scene.expect_alone(*session);
  // where the window is still there, and where it is gone
  value_of(session->truncate(session->size() - 400));
  scene.expect_alone(*session);
  value_of(session->truncate(200));
  scene.expect_alone(*session);
}

TEST(EnginePages, WhatIsSharedIsThereOnce) {
  for (const std::string_view name : {"llama", "gpt-oss"}) {
    SCOPED_TRACE(name);
    EngineScene scene(name);
    Random random(6);
    const auto engine = scene.engine(8, 2048);
    std::vector<std::unique_ptr<Session>> sessions;
    sessions.reserve(8);
    for (int i = 0; i < 8; ++i) sessions.push_back(value_of(engine->open_session()));
    Session& first = *sessions.front();
    value_of(first.evaluate(scene.random_tokens(random, 330)));
    const std::uint64_t bytes = engine->cache_bytes();
    const std::uint32_t held = pages_held(*engine);
    const auto groups = static_cast<std::uint32_t>(engine->state().groups.size());
    for (int i = 1; i < 8; ++i) value_of(sessions[static_cast<std::size_t>(i)]->begin_as(first, i < 5 ? 330 : 100));
    EXPECT_EQ(pages_held(*engine), held);
    // all write, into copies of the page that is not full but for the last of them; then one goes back behind it
    std::vector<std::pair<Session*, Tokens>> texts;
    texts.reserve(sessions.size());
    for (const auto& session : sessions) texts.emplace_back(session.get(), scene.random_tokens(random, 1));
    value_of(evaluate(*engine, texts));
    EXPECT_EQ(pages_held(*engine), held + groups * (4 + 3));
    EXPECT_EQ(engine->cache_bytes(), bytes);  // 13 of 16 pages
    value_of(sessions[2]->truncate(150));
    value_of(sessions[2]->evaluate(scene.random_tokens(random, 3)));
    for (const auto& session : sessions) scene.expect_alone(*session);
    sessions.erase(sessions.begin());  // what it began lives on
    value_of(sessions[0]->evaluate(scene.random_tokens(random, 2)));
    for (const auto& session : sessions) scene.expect_alone(*session);
    sessions.clear();
    EXPECT_EQ(pages_held(*engine), 0U);
  }
}

TEST(EnginePages, ATextBeginsAsOneWhoseWindowsHaveMoved) {
  EngineScene scene("gemma3");
  Random random(7);
  const auto engine = scene.engine(3, 2048, 128);
  const auto first = value_of(engine->open_session());
  value_of(first->evaluate(scene.random_tokens(random, 900)));
  for (const std::uint32_t tokens : {900U, 899U, 640U, 500U, 100U, 0U}) {
    const auto other = value_of(engine->open_session());
    value_of(other->begin_as(*first, tokens));
    EXPECT_EQ(other->size(), tokens);
    value_of(evaluate(*engine, {{other.get(), {3}}, {first.get(), {4}}}));
    scene.expect_alone(*other);
    value_of(first->truncate(900));
  }
  scene.expect_alone(*first);
  // itself, and another again
  value_of(first->begin_as(*first, 700));
  scene.expect_alone(*first);
}

TEST(EnginePages, GrowingInTheMiddleOfATextChangesNoBit) {
  for (const std::string_view name : {"llama", "deepseek2", "gemma3"}) {
    EngineScene scene(name);
    Random random(8);
    const auto engine = scene.engine(1, 4096, 256);
    const auto session = value_of(engine->open_session());
    const Tokens text = scene.random_tokens(random, 1200);
    const std::uint64_t before = engine->cache_bytes();
    std::vector<std::vector<float>> logits;
    for (int round = 0; round < 2; ++round) {
      value_of(session->evaluate(text));
      value_of(session->evaluate(std::vector{1}));  // by the operations for one token
      logits.push_back(value_of(session->logits()));
      EXPECT_GT(engine->cache_bytes(), before);
      value_of(session->truncate(0));
    }
    EXPECT_EQ(logits[0], logits[1]) << name;
  }
}

TEST(EnginePages, AFullPoolAppendsToNobody) {
  EngineScene scene("llama");
  Random random(9);
  const auto engine = scene.engine(2, 256, 64);  // 4 pages, 1 more each, and 1 to warm up
  const auto a = value_of(engine->open_session()), b = value_of(engine->open_session());
  value_of(
      evaluate(*engine, {{a.get(), scene.random_tokens(random, 200)}, {b.get(), scene.random_tokens(random, 50)}}));
  const auto full = evaluate(*engine, {{a.get(), {1}}, {b.get(), scene.random_tokens(random, 200)}});
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, ErrorCode::ContextFull);
  EXPECT_EQ(a->size(), 200U);
  EXPECT_EQ(b->size(), 50U);
  value_of(engine->warm_up());
  value_of(evaluate(*engine, {{a.get(), {1}}, {b.get(), {2}}}));
  scene.expect_alone(*a);
  scene.expect_alone(*b);
  value_of(a->truncate(0));
  value_of(b->evaluate(scene.random_tokens(random, 200)));
  scene.expect_alone(*b);
}

// With a window that is longer than the context nothing is ever given back.
TEST(EnginePages, AFullPoolOfWindowsAppendsToNobody) {
  support::TinyModel row = support::tiny_model("granite_swa");
  std::string keys(row.keys);
  const auto put = [&](std::string_view old, std::string_view text) { keys.replace(keys.find(old), old.size(), text); };
  put("sliding_window=6", "sliding_window=4096");
  put("sliding_window_pattern=[true,false,true,false]", "sliding_window_pattern=[true,true,true,true]");
  row.keys = keys;
  EngineScene scene(row);
  const auto engine = scene.engine(2, 256, 64);
  ASSERT_EQ(engine->state().groups.size(), 1U);
  Random random(10);
  const auto a = value_of(engine->open_session()), b = value_of(engine->open_session());
  value_of(
      evaluate(*engine, {{a.get(), scene.random_tokens(random, 200)}, {b.get(), scene.random_tokens(random, 50)}}));
  const auto full = evaluate(*engine, {{a.get(), {1}}, {b.get(), scene.random_tokens(random, 200)}});
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, ErrorCode::ContextFull);
  EXPECT_EQ(a->size(), 200U);
  scene.expect_alone(*b);
}

// As many copies as there are writers are not needed where they share a page.
TEST(EnginePages, WhatFitsIsNotRefusedForWhatIsShared) {
  EngineScene scene("llama");
  const auto engine = scene.engine(6, 64);
  std::vector<std::unique_ptr<Session>> sessions;
  std::vector<std::pair<Session*, Tokens>> texts;
  for (std::int32_t i = 0; i < 6; ++i) {
    Session& session = *sessions.emplace_back(value_of(engine->open_session()));
    if (i % 2 == 0) {
      value_of(session.evaluate(std::vector{i}));
    } else {
      value_of(session.begin_as(*sessions[static_cast<std::size_t>(i) - 1], 1));
    }
    texts.push_back({&session, {10 + i}});
  }
  value_of(evaluate(*engine, texts));
  for (const auto& session : sessions) scene.expect_alone(*session);
}

}  // namespace
}  // namespace gguf_fuse::runtime
