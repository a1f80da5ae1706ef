// SPDX-License-Identifier: MIT
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "engine/engine_state.hpp"
#include "support/file_util.hpp"
#include "support/random.hpp"
#include "support/runtime/run_model.hpp"
#include "support/temp_dir.hpp"
#include "support/tiny_model.hpp"

namespace gguf_fuse::runtime {

using Tokens = std::vector<std::int32_t>;

/// A tiny model, engines on it, and what a sequence says that is alone on one.
class EngineScene {
 public:
  explicit EngineScene(const support::TinyModel& row, const std::vector<std::shared_ptr<Device>>& devices = {}) {
    support::write_file(path_, support::build_tiny_model(row));
    model_ = support::open_runnable(path_, {.devices = devices});
  }
  explicit EngineScene(std::string_view name) : EngineScene(support::tiny_model(name)) {}

  [[nodiscard]] std::shared_ptr<Engine> engine(std::uint32_t sessions, std::uint32_t context,
                                               std::uint32_t micro_batch = 512) const {
    return support::value_of(Engine::create(model_, options(sessions, context, micro_batch)));
  }
  [[nodiscard]] static SessionOptions options(std::uint32_t sessions, std::uint32_t context,
                                              std::uint32_t micro_batch = 512) {
    return {.context = context,
            .sessions = sessions,
            .micro_batch = micro_batch,
            .cache_k = CacheType::F32,
            .cache_v = CacheType::F32};
  }
  [[nodiscard]] const std::shared_ptr<RunnableModel>& model() const { return model_; }

  [[nodiscard]] Tokens random_tokens(support::Random& random, std::size_t count) const {
    Tokens tokens(count);
    for (std::int32_t& token : tokens) {
      token = static_cast<std::int32_t>(random.below(model_->description().vocabulary));
    }
    return tokens;
  }

  /// The logits behind a text that is alone.
  const std::vector<float>& alone(const Tokens& text) {
    auto& logits = alone_[text];
    if (!logits.empty()) return logits;
    if (!session_) session_ = support::value_of(Session::create(model_, options(1, 4096)));
    support::value_of(session_->truncate(0));
    support::value_of(session_->evaluate(text));
    return logits = support::value_of(session_->logits());
  }

  /// What a session says is what its tokens say alone, but for the rounding of sums.
  void expect_alone(Session& session) {
    const Tokens text(session.tokens().begin(), session.tokens().end());
    const std::vector<float> found = support::value_of(session.logits());
    const std::vector<float>& expected = alone(text);
    ASSERT_LE(support::logit_difference(found, expected).max, 1e-4 * spread(expected)) << text.size() << " tokens";
    if (gap(expected) <= 2e-4F * spread(expected)) return;
    EXPECT_EQ(support::value_of(session.top(1)).front().token, best(expected));
    EXPECT_EQ(support::value_of(session.statistics()).back().argmax, best(expected));
  }

  [[nodiscard]] static std::int32_t best(const std::vector<float>& logits) {
    return static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  }

 private:
  /// Standard deviation.
  [[nodiscard]] static float spread(const std::vector<float>& logits) {
    const auto count = static_cast<float>(logits.size());
    const float mean = std::accumulate(logits.begin(), logits.end(), 0.0F) / count;
    float squares = 0;
    for (const float logit : logits) squares += (logit - mean) * (logit - mean);
    return std::sqrt(squares / count);
  }
  [[nodiscard]] static float gap(std::vector<float> logits) {
    std::partial_sort(logits.begin(), logits.begin() + 2, logits.end(), std::greater<>());
    return logits[0] - logits[1];
  }

  support::TempDir dir_;
  std::string path_ = dir_.file("model.gguf");
  std::shared_ptr<RunnableModel> model_;
  std::unique_ptr<Session> session_;
  std::map<Tokens, std::vector<float>> alone_;
};

/// Pages of all groups that some sequence holds.
inline std::uint32_t pages_held(Engine& engine) {
  std::uint32_t held = 0;
  for (PageGroup& group : engine.state().groups) held += group.pool().limit() - group.pool().free();
  return held;
}

inline Result<StepReport> evaluate(Engine& engine, const std::vector<std::pair<Session*, Tokens>>& texts) {
  std::vector<Engine::Part> parts;
  parts.reserve(texts.size());
  for (const auto& [session, tokens] : texts) parts.push_back({.session = session, .tokens = tokens});
  return engine.evaluate(parts);
}

}  // namespace gguf_fuse::runtime
