// SPDX-License-Identifier: MIT
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "support/paths.hpp"
#include "support/runtime/run_model.hpp"

namespace gguf_fuse::runtime {

using support::ModelSetup;
using support::open_session;
using support::value_of;

inline constexpr const char* kSmolLM2 = "smollm2-135m-instruct-q4_1";
inline constexpr const char* kGemma3 = "gemma-3-270m-it-q4_k_m";

/// Empty when the model is not here.
inline std::string model_path(const std::string& name) {
  const char* folder = std::getenv("GGUF_FUSE_MODELS");
  const std::string path = std::string(folder == nullptr ? "/nonexistent" : folder) + "/" + name + ".gguf";
  return std::filesystem::exists(path) ? path : std::string();
}

/// What llama.cpp says to each prompt.
inline nlohmann::json golden(const std::string& name) {
  std::ifstream file(test_support::test_data("golden/") + name + ".json");
  return nlohmann::json::parse(file).at("results");
}

#define NEED_MODEL(name)                     \
  const std::string path = model_path(name); \
  if (path.empty())                          \
  GTEST_SKIP() << name << " is not here: scripts/models.sh brings it, GGUF_FUSE_MODELS names its folder"

inline std::vector<std::int32_t> greedy(Session& session, std::vector<std::int32_t> prompt, std::size_t count) {
  std::vector<std::int32_t> said;
  while (said.size() < count) {
    value_of(session.evaluate(prompt));
    prompt = {value_of(session.top(1)).at(0).token};
    said.push_back(prompt.front());
  }
  return said;
}

/// With floats the words are llama.cpp's with floats, as long as the two best are not nearly equal.
inline void expect_float_words(const nlohmann::json& results, Session& session) {
  for (const auto& result : results) {
    const std::vector<std::int32_t> expected = result.at("greedy_f32");
    const std::vector<float> gaps = result.at("greedy_gap_f32");
    const auto sure = static_cast<std::size_t>(
        std::find_if(gaps.begin(), gaps.end(), [](float gap) { return gap < 0.005F; }) - gaps.begin());
    value_of(session.truncate(0));
    EXPECT_EQ(greedy(session, result.at("tokens"), sure),
              std::vector(expected.begin(), expected.begin() + static_cast<std::ptrdiff_t>(sure)))
        << result.at("prompt");
  }
}

/// With 8-bit activations logits carry noise: llama.cpp's own differ by up to 0.6 from its logits with floats, and its
/// words do in 3 of these 16 prompts. So each of the first 8 golden words, when those before it were said, is the best
/// one or within that noise of it.
inline void expect_golden_words(const nlohmann::json& results, Session& session) {
  constexpr float kNoise = 0.6F;
  int best = 0;
  int all = 0;
  for (const auto& result : results) {
    const std::vector<std::int32_t> expected = result.at("greedy");
    value_of(session.truncate(0));
    std::vector<std::int32_t> next = result.at("tokens");
    for (std::size_t i = 0; i < 8; ++i) {
      value_of(session.evaluate(next));
      next = {expected[i]};
      const auto top = value_of(session.top(1)).at(0);
      const float wanted = value_of(session.logits()).at(static_cast<std::size_t>(expected[i]));
      EXPECT_LE(top.logit - wanted, kNoise) << result.at("prompt") << ", word " << i;
      best += top.token == expected[i] ? 1 : 0;
      ++all;
    }
  }
  EXPECT_GE(best, all * 9 / 10);
}

}  // namespace gguf_fuse::runtime
