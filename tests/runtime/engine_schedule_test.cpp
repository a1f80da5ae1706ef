// SPDX-License-Identifier: MIT
// Random schedules: sessions that begin, begin as others, go on together, go back, stop and end, against each text
// computed from its beginning and alone. For some seconds from a seed that changes ($GGUF_FUSE_TEST_SEED repeats one);
// $GGUF_FUSE_WHOLE_GRID runs all of them.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "engine_scene.hpp"

namespace gguf_fuse::runtime {
namespace {

using support::Random;
using support::value_of;
using Clock = std::chrono::steady_clock;

constexpr int kSchedules = 1000;
constexpr std::chrono::milliseconds kSampled{2500};  // of each model
constexpr std::uint32_t kMostSessions = 6, kContext = 1500, kMicroBatch = 40;

/// What happens on an engine, and what has to be true then.
class Schedule {
 public:
  Schedule(EngineScene& scene, Engine& engine, std::uint64_t seed) : scene_(scene), engine_(engine), random_(seed) {}

  void run() {
    const std::uint64_t steps = 4 + random_.below(16);
    for (std::uint64_t i = 0; i < steps && !testing::Test::HasFatalFailure(); ++i) act();
    for (const auto& talk : talks_) check(*talk);
  }

 private:
  struct Talk {
    Control control;
    std::unique_ptr<Session> session;
    Tokens text;
  };

  Talk& any() { return *talks_[random_.below(talks_.size())]; }

  void act() {
    const std::uint64_t chosen = random_.below(12);
    if (talks_.empty() || (chosen == 0 && talks_.size() < kMostSessions)) return begin();
    switch (chosen) {
      case 1:
        return end();
      case 2:
        return go_back();
      case 3:
        return begin_as();
      case 4:
        return check(any());
      default:
        return step();
    }
  }

  void begin() {
    Talk& talk = *talks_.emplace_back(std::make_unique<Talk>());
    talk.session = value_of(engine_.open_session(&talk.control));
  }

  void end() { talks_.erase(talks_.begin() + static_cast<std::ptrdiff_t>(random_.below(talks_.size()))); }

  void go_back() {
    Talk& talk = any();
    const std::size_t size = random_.below(talk.text.size() + 1);
    value_of(talk.session->truncate(static_cast<std::uint32_t>(size)));
    talk.text.resize(size);
  }

  void begin_as() {
    Talk &talk = any(), &other = any();
    const std::size_t size = random_.chance(0.5) ? other.text.size() : random_.below(other.text.size() + 1);
    value_of(talk.session->begin_as(*other.session, static_cast<std::uint32_t>(size)));
    talk.text = Tokens(other.text.begin(), other.text.begin() + static_cast<std::ptrdiff_t>(size));
  }

  /// Mostly one token, sometimes a prompt, rarely one that outgrows windows.
  std::size_t length() {
    if (random_.chance(0.6)) return 1;
    return random_.chance(0.9) ? 1 + random_.below(90) : random_.below(700);
  }

  void step() {
    std::vector<std::pair<Talk*, Tokens>> parts;
    std::vector<std::pair<Session*, Tokens>> texts;
    for (const std::size_t i : random_.permutation(talks_.size())) {
      if (random_.chance(0.3)) continue;
      Talk& talk = *talks_[i];
      talk.control.cancelled = random_.chance(0.05);
      const Tokens tokens = scene_.random_tokens(random_, length());
      parts.emplace_back(&talk, tokens);
      texts.emplace_back(talk.session.get(), tokens);
    }
    const auto done = evaluate(engine_, texts);
    if (!done) {
      ASSERT_EQ(done.error().code, ErrorCode::ContextFull) << done.error().message();
    }
    for (const auto& [talk, tokens] : parts) {
      if (done && !talk->control.cancelled) talk->text.insert(talk->text.end(), tokens.begin(), tokens.end());
      talk->control.cancelled = false;
      ASSERT_TRUE(std::ranges::equal(talk->session->tokens(), talk->text));
    }
    if (done) return;
    // texts of so many tokens have room, whatever they share
    std::size_t all = 0;
    for (const auto& talk : talks_) all += talk->text.size();
    for (const auto& [talk, tokens] : parts) all += tokens.size();
    EXPECT_GT(all, kContext);
  }

  void check(Talk& talk) {
    ASSERT_TRUE(std::ranges::equal(talk.session->tokens(), talk.text));
    if (!talk.text.empty()) scene_.expect_alone(*talk.session);
  }

  EngineScene& scene_;
  Engine& engine_;
  Random random_;
  std::vector<std::unique_ptr<Talk>> talks_;
};

class EngineSchedules : public testing::TestWithParam<std::string> {};

TEST_P(EngineSchedules, SayWhatEachSaysAlone) {
  EngineScene scene(GetParam());
  const auto engine = scene.engine(kMostSessions, kContext, kMicroBatch);
  const bool whole = support::whole_grid();
  const std::uint64_t first = support::changing_seed();
  const auto begin = Clock::now();
  int done = 0;
  while (done < kSchedules && !HasFailure() && (whole || Clock::now() - begin < kSampled)) {
    const std::uint64_t chosen = first + static_cast<std::uint64_t>(done++);
    SCOPED_TRACE(fmt::format("GGUF_FUSE_TEST_SEED={}", chosen));
    Schedule(scene, *engine, chosen).run();
    EXPECT_EQ(pages_held(*engine), 0U);
  }
  RecordProperty("schedules", done);
}

INSTANTIATE_TEST_SUITE_P(Of, EngineSchedules, testing::Values("llama", "gemma3", "phi3", "deepseek2"),
                         [](const auto& model) { return model.param; });

}  // namespace
}  // namespace gguf_fuse::runtime
