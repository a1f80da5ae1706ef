// SPDX-License-Identifier: MIT
// LongRoPE's factors follow the length of the text, and no number follows the size of an allocation.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "gguf_fuse/runtime/generate.hpp"
#include "hostile_fixture.hpp"
#include "support/random_model.hpp"
#include "support/runtime/run_model.hpp"
#include "support/temp_dir.hpp"

namespace gguf_fuse::runtime {
namespace {

using support::open_session;
using support::RandomModel;
using support::value_of;

constexpr std::uint32_t kOriginal = 8;  // the original context
constexpr double kTolerance = 1e-5;

/// The largest difference, as a share of the largest logit.
double difference(const std::vector<float>& a, const std::vector<float>& b) {
  double largest = 0;
  for (const float logit : b) largest = std::max(largest, std::abs(static_cast<double>(logit)));
  return support::logit_difference(a, b).max / largest;
}

std::vector<std::int32_t> text_of(std::size_t length) {
  std::vector<std::int32_t> tokens;
  for (std::size_t i = 0; i < length; ++i) tokens.push_back(static_cast<std::int32_t>(1 + (7 * i + 3) % 30));
  return tokens;
}

support::TensorSpec factors(const std::string& name, float step) {
  support::TensorSpec spec{.name = name, .type = "F32", .dims = {8}, .data = support::Bytes(8 * sizeof(float))};
  for (std::size_t i = 0; i < 8; ++i) {
    const float factor = 1 + step * static_cast<float>(i);
    std::memcpy(&spec.data[i * sizeof factor], &factor, sizeof factor);
  }
  return spec;
}

class LongRope : public testing::Test {
 protected:
  static constexpr float kShort = 0.02F, kLong = 0.5F;

  std::string model(float short_step, float long_step) const {
    const std::string path = dir_.file("model" + std::to_string(short_step) + std::to_string(long_step) + ".gguf");
    return RandomModel("phi3")
        .embedding(32)
        .heads(2, 1, 16)
        .tensor(factors("rope_factors_short.weight", short_step))
        .tensor(factors("rope_factors_long.weight", long_step))
        .keys([](HeaderWriter& writer) {
          writer.add_u32("phi3.rope.scaling.original_context_length", kOriginal);
          writer.add_string("phi3.rope.scaling.type", "longrope");
          writer.add_f32("phi3.rope.scaling.attn_factor", 1.19F);
        })
        .write(path);
  }

  std::vector<float> expected(std::size_t length) const { return with(length > kOriginal ? kLong : kShort, length); }
  std::vector<float> other_kind(std::size_t length) const { return with(length > kOriginal ? kShort : kLong, length); }

  /// Logits behind a text in a model that has only one kind of factors.
  std::vector<float> with(float step, std::size_t length) const {
    const auto session = open_session(model(step, step), {.context = 32});
    value_of(session->evaluate(text_of(length)));
    return value_of(session->logits());
  }

  const support::TempDir dir_;
};

TEST_F(LongRope, TheTextsLengthChoosesAndNotTheContexts) {
  for (const std::uint32_t context : {13U, 32U, 200U}) {
    for (const std::size_t length : {1U, 7U, 8U, 9U, 13U}) {
      const auto session = open_session(model(kShort, kLong), {.context = context});
      value_of(session->evaluate(text_of(length)));
      EXPECT_EQ(value_of(session->logits()), expected(length)) << length << " of " << context;
    }
  }
  double most = 0;  // a softmax that sees one token alone hides the angles
  for (std::size_t length = 2; length < 14; ++length) {
    most = std::max(most, difference(expected(length), other_kind(length)));
  }
  EXPECT_GT(most, 100 * kTolerance);
}

TEST_F(LongRope, ATextThatGrowsAcrossTheBorderIsReadAnew) {
  for (const std::size_t piece : {1U, 3U, 5U}) {
    const auto session = open_session(model(kShort, kLong), {.micro_batch = 4, .context = 32});
    const auto text = text_of(13);
    for (std::size_t done = 0; done < text.size(); done = session->size()) {
      value_of(session->evaluate(std::span(text).subspan(done, std::min(piece, text.size() - done))));
      EXPECT_LE(difference(value_of(session->logits()), expected(session->size())), kTolerance)
          << session->size() << " in pieces of " << piece;
    }
  }
}

TEST_F(LongRope, ATextThatIsCutBelowTheBorderTurnsBack) {
  const auto session = open_session(model(kShort, kLong), {.context = 32});
  value_of(session->evaluate(text_of(12)));
  for (const std::uint32_t left : {10U, 8U, 5U}) {
    value_of(session->truncate(left));
    EXPECT_LE(difference(value_of(session->logits()), expected(left)), kTolerance) << left;
  }
  value_of(session->warm_up());
  const auto text = text_of(9);
  value_of(session->evaluate(std::span(text).subspan(5)));
  EXPECT_LE(difference(value_of(session->logits()), expected(9)), kTolerance);
}

TEST_F(LongRope, AnswersAcrossTheBorderDoNotDependOnTheContext) {
  std::vector<std::int32_t> first;
  for (const std::uint32_t context : {24U, 100U}) {
    for (const std::uint32_t micro_batch : {2U, 512U}) {
      const auto session = open_session(model(kShort, kLong), {.micro_batch = micro_batch, .context = context});
      std::vector<std::int32_t> tokens = text_of(5);
      value_of(session->evaluate(tokens));
      while (tokens.size() < 20) {
        tokens.push_back(value_of(session->statistics()).front().argmax);
        value_of(session->evaluate(std::span(tokens).last(1)));
      }
      if (first.empty()) first = tokens;
      EXPECT_EQ(tokens, first) << context << ", " << micro_batch;
    }
  }
}

// -c, -b and -ub are sizes of memory and of work.
TEST(Allocations, DoNotChangeNumbers) {
  const support::TempDir dir;
  for (const std::string name : {"llama+experts", "gemma2", "gpt-oss", "deepseek2", "qwen3moe", "phi3"}) {
    SCOPED_TRACE(name);
    const auto text = text_of(37);
    const std::string path = model_of(name).write(dir.file("model.gguf"));
    std::vector<float> expected;
    for (const std::uint32_t micro_batch : {512U, 37U, 16U, 5U}) {
      std::vector<float> same;  // other contexts change nothing at all
      for (const std::uint32_t context : {37U, 64U, 1000U}) {
        const auto session = open_session(path, {.micro_batch = micro_batch, .context = context});
        value_of(session->evaluate(text));
        const auto logits = value_of(session->logits());
        if (same.empty()) same = logits;
        if (expected.empty()) expected = logits;
        EXPECT_EQ(logits, same) << "-c " << context << " -ub " << micro_batch;
        EXPECT_LE(difference(logits, expected), kTolerance) << "-c " << context << " -ub " << micro_batch;
      }
    }
  }
}

}  // namespace
}  // namespace gguf_fuse::runtime
