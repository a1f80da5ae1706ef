// SPDX-License-Identifier: MIT
// Tiny models of every architecture against logits that llama.cpp computed from the same weights
// (tests/data/models/NAME.json).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "gguf_fuse/runtime/architecture.hpp"
#include "support/random_model.hpp"
#include "support/runtime/run_model.hpp"
#include "support/temp_dir.hpp"
#include "support/tiny_model.hpp"

namespace gguf_fuse::runtime {
namespace {

using support::logit_difference;
using support::ModelSetup;
using support::open_session;
using support::read_reference;
using support::reference_path;
using support::ReferenceSequence;
using support::value_of;

const std::vector<std::string>& dense_models() {
  static const std::vector<std::string> names = {"llama-q4_k_m", "llama-q8_0", "llama-tied-ropefreqs-q4_0",
                                                 "qwen2-f16",    "qwen3-q5_k", "gemma2-q4_1",
                                                 "gemma3-q8_0",  "phi3-q4_k"};
  return names;
}

const std::vector<std::string>& mixtures() {
  static const std::vector<std::string> names = {"llama-moe-iq2_xxs", "qwen2moe-q5",     "qwen3moe-q2_k",
                                                 "qwen3vlmoe-iq4_nl", "gpt-oss-mxfp4",   "granite_swa-merged-q4_1",
                                                 "glm4moe-q4_0",      "gemma4-moe-q8_0", "deepseek2-q8_0",
                                                 "ik-qwen3moe-iq4_k", "qwen35moe-q8_0"};
  return names;
}

class ReferenceModels : public testing::TestWithParam<std::string> {};

TEST_P(ReferenceModels, FloatsGiveTheReferenceLogits) {
  const auto reference = read_reference(GetParam());
  const auto session = open_session(reference_path(GetParam()), {.all_logits = true});
  const double tolerance = 1e-3 * reference.spread;
  for (const ReferenceSequence& sequence : reference.sequences) {
    value_of(session->truncate(0));
    value_of(session->evaluate(sequence.tokens));
    const auto rows = value_of(session->statistics());
    ASSERT_EQ(rows.size(), sequence.tokens.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (static_cast<double>(sequence.gap[i]) > 2 * tolerance) {
        EXPECT_EQ(rows[i].argmax, sequence.argmax[i]) << "position " << i;
      }
      EXPECT_NEAR(rows[i].logsumexp, sequence.logsumexp[i], tolerance) << "position " << i;
    }
    const auto logits = value_of(session->logits());
    const std::vector<float> last(logits.end() - static_cast<std::ptrdiff_t>(sequence.logits.size()), logits.end());
    EXPECT_LE(logit_difference(last, sequence.logits).max, tolerance);
    EXPECT_NEAR(support::mean_nll(sequence.tokens, logits, rows), sequence.mean_nll, tolerance);
  }
}

TEST_P(ReferenceModels, GreedyTokensFollowTheReference) {
  const auto reference = read_reference(GetParam());
  const auto session = open_session(reference_path(GetParam()));
  for (const ReferenceSequence& sequence : reference.sequences) {
    value_of(session->truncate(0));
    value_of(session->evaluate(sequence.tokens));
    for (std::size_t i = 0; i < sequence.greedy.size(); ++i) {
      if (static_cast<double>(sequence.greedy_gap[i]) < 4e-3 * reference.spread) break;
      const std::int32_t token = value_of(session->top(1)).at(0).token;
      ASSERT_EQ(token, sequence.greedy[i]) << "token " << i;
      value_of(session->evaluate(std::vector{token}));
    }
  }
}

TEST_P(ReferenceModels, EightBitActivationsStayWithinTheirError) {
  const auto reference = read_reference(GetParam());
  const auto session = open_session(reference_path(GetParam()), {.activations = Activations::Q8, .all_logits = true});
  for (const ReferenceSequence& sequence : reference.sequences) {
    value_of(session->truncate(0));
    value_of(session->evaluate(sequence.tokens));
    const auto rows = value_of(session->statistics());
    const auto logits = value_of(session->logits());
    EXPECT_NEAR(support::mean_nll(sequence.tokens, logits, rows) / sequence.mean_nll, 1, 0.005);
    const std::vector<float> last(logits.end() - static_cast<std::ptrdiff_t>(sequence.logits.size()), logits.end());
    const auto found = logit_difference(last, sequence.logits);
    EXPECT_LE(found.rms, 2 * sequence.quantised_rms + 1e-3 * reference.spread);
    EXPECT_LE(found.max, 2 * sequence.quantised_max + 1e-3 * reference.spread);
  }
}

TEST_P(ReferenceModels, PiecesOfAnySizeGiveTheSame) {
  const auto tokens = read_reference(GetParam()).sequences.front().tokens;
  const auto whole = open_session(reference_path(GetParam()));
  value_of(whole->evaluate(tokens));
  const auto expected = value_of(whole->logits());
  for (const std::uint32_t size : {1U, 7U, 16U}) {
    const auto pieces = open_session(reference_path(GetParam()), {.micro_batch = size});
    value_of(pieces->evaluate(tokens));
    EXPECT_LE(logit_difference(value_of(pieces->logits()), expected).max, 2e-5) << size << " tokens at once";
  }
}

std::string test_name(const testing::TestParamInfo<std::string>& model) {
  std::string name = model.param;
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
}
INSTANTIATE_TEST_SUITE_P(Dense, ReferenceModels, testing::ValuesIn(dense_models()), test_name);
INSTANTIATE_TEST_SUITE_P(Mixtures, ReferenceModels, testing::ValuesIn(mixtures()), test_name);

// A reference model of quantised weights, or a tiny one of floats (architectures_test.cpp).
TEST(RunnableArchitectures, EachHasAReferenceModel) {
  auto names = dense_models();
  names.insert(names.end(), mixtures().begin(), mixtures().end());
  for (const auto& model : support::tiny_models()) names.push_back(std::string(model.architecture()) + "-");
  for (const std::string_view architecture : runnable_architectures()) {
    EXPECT_THAT(names, testing::Contains(testing::StartsWith(std::string(architecture) + "-")));
  }
}

// M-RoPE with sections that leave no pair out is plain rotary embedding where all positions are a token's.
TEST(RunnableArchitectures, Qwen3VlReadsTextAsQwen3Does) {
  const support::TempDir dir;
  const auto logits = [&](const std::string& architecture) {
    const auto model = support::RandomModel(architecture).embedding(64).heads(2, 1, 32).vocabulary(64);
    const auto session = open_session(model.write(dir.file(architecture + ".gguf")));
    value_of(session->evaluate(std::vector{3, 14, 15, 9, 26, 5}));
    return value_of(session->logits());
  };
  EXPECT_EQ(logits("qwen3vl"), logits("qwen3"));
}

}  // namespace
}  // namespace gguf_fuse::runtime
