// SPDX-License-Identifier: MIT
// What a session and a model promise beside the numbers themselves.
#include "gguf_fuse/runtime/session.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "gguf_fuse/loader/sink.hpp"
#include "support/file_util.hpp"
#include "support/random_model.hpp"
#include "support/runtime/run_model.hpp"
#include "support/temp_dir.hpp"

namespace gguf_fuse::runtime {
namespace {

using support::logit_difference;
using support::open_runnable;
using support::open_session;
using support::RandomModel;
using support::read_reference;
using support::reference_path;
using support::TempDir;
using support::value_of;
using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::int32_t> some_tokens() { return read_reference("llama-q8_0").sequences.front().tokens; }

std::vector<float> logits_of(const std::string& path, const support::ModelSetup& options = {}) {
  const auto session = open_session(path, options);
  value_of(session->evaluate(some_tokens()));
  return value_of(session->logits());
}

TEST(Session, FusedTwinsGiveTheSameLogits) {
  EXPECT_EQ(logits_of(reference_path("llama-q8_0.fused")), logits_of(reference_path("llama-q8_0")));
}

TEST(Session, GateAndUpMayComeFused) {
  const TempDir dir;
  const RandomModel model =
      RandomModel("llama").vocabulary(320).embedding(64).heads(4, 2, 16).feed_forward(96).type("Q8_0");
  const std::string apart = RandomModel(model).write(dir.file("apart.gguf"));
  const std::string fused =
      RandomModel(model).fused(RuleId::GateUpDense).fused(RuleId::Qkv).write(dir.file("fused.gguf"));
  EXPECT_EQ(logits_of(fused), logits_of(apart));
}

TEST(Session, ShardsAndStreamsGiveTheSameLogits) {
  const TempDir dir;
  const RandomModel model = RandomModel("qwen2").vocabulary(320);
  const auto expected = logits_of(RandomModel(model).write(dir.file("whole.gguf")));
  const auto shards = model.build_shards(5);
  for (std::size_t i = 0; i < shards.size(); ++i) {
    support::write_file(shard_path(dir.file("part"), i, shards.size()), shards[i]);
  }
  ASSERT_GT(shards.size(), 2U);
  EXPECT_EQ(logits_of(shard_path(dir.file("part"), 0, shards.size())), expected);
  const auto sink = gzip_sink(value_of(file_sink(dir.file("whole.gguf.gz"), {})));
  value_of(sink->write_at(0, model.build()));
  value_of(sink->commit());
  EXPECT_EQ(logits_of(dir.file("whole.gguf.gz")), expected);
}

TEST(Session, TwoDevicesShareTheLayers) {
  const auto& devices = support::test_devices();
  for (const std::string name : {"llama-q8_0", "gemma3-q8_0"}) {
    const auto expected = logits_of(reference_path(name));
    const std::vector both = {devices.front(), devices.size() > 1 ? devices[1] : devices.front()};
    for (const std::vector<double>& split : {std::vector<double>{}, {1, 3}, {0, 1}, {1, 0}}) {
      EXPECT_EQ(logits_of(reference_path(name), {.devices = both, .placement = {.split = split}}), expected) << name;
    }
  }
}

TEST(Session, SmallerCachesStayClose) {
  const double spread = read_reference("llama-q8_0").spread;
  const auto expected = logits_of(reference_path("llama-q8_0"));
  EXPECT_LE(logit_difference(logits_of(reference_path("llama-q8_0"), {.cache = CacheType::F16}), expected).max, 3e-2);
  EXPECT_LE(logit_difference(logits_of(reference_path("llama-q8_0"), {.cache = CacheType::Q8_0}), expected).max,
            0.1 * spread);
}

TEST(Session, ForgettingGoesBack) {
  const auto tokens = some_tokens();
  const auto session = open_session(reference_path("gemma2-q4_1"));
  value_of(session->evaluate(tokens));
  const auto expected = value_of(session->logits());
  value_of(session->evaluate(std::vector{5, 6, 7}));
  value_of(session->truncate(static_cast<std::uint32_t>(tokens.size()) - 1));
  value_of(session->evaluate(std::span(tokens).last(1)));
  EXPECT_LE(logit_difference(value_of(session->logits()), expected).max, 2e-5);
  EXPECT_EQ(session->truncate(1000).error().code, ErrorCode::InvalidArgument);
}

TEST(Session, KeepsTheTokensOfItsSequence) {
  const auto session = open_session(reference_path("llama-q8_0"), {.micro_batch = 2, .context = 8});
  EXPECT_THAT(session->tokens(), IsEmpty());
  value_of(session->evaluate(std::vector{5, 6, 7, 8, 9}));
  value_of(session->evaluate(std::vector{10}));
  EXPECT_THAT(session->tokens(), ElementsAre(5, 6, 7, 8, 9, 10));
  EXPECT_FALSE(session->evaluate(std::vector{1, 2, 3}));
  EXPECT_THAT(session->tokens(), ElementsAre(5, 6, 7, 8, 9, 10));
  value_of(session->truncate(2));
  EXPECT_THAT(session->tokens(), ElementsAre(5, 6));
  value_of(session->evaluate(std::vector{11}));
  EXPECT_THAT(session->tokens(), ElementsAre(5, 6, 11));
}

TEST(Session, SessionsOnOneModelDoNotDisturbEachOther) {
  const auto model = open_runnable(reference_path("llama-q8_0"));
  const auto first = value_of(Session::create(model));
  const auto second = value_of(Session::create(model));
  const auto tokens = some_tokens();
  value_of(first->evaluate(tokens));
  const auto expected = value_of(first->logits());
  value_of(first->truncate(0));
  for (const std::int32_t token : tokens) {
    value_of(second->evaluate(std::vector{(token + 1) % 320}));
    value_of(first->evaluate(std::vector{token}));
  }
  EXPECT_LE(logit_difference(value_of(first->logits()), expected).max, 0.05);  // F16 cache
  EXPECT_GT(logit_difference(value_of(second->logits()), expected).max, 0.5);
}

TEST(Session, AFullContextIsSaid) {
  const auto session = open_session(reference_path("llama-q8_0"), {.context = 10});
  EXPECT_EQ(session->capacity(), 10U);
  const std::vector<std::int32_t> tokens(8, 3);
  value_of(session->evaluate(tokens));
  const auto full = session->evaluate(std::vector{1, 2, 3});
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, ErrorCode::ContextFull);
  EXPECT_EQ(session->size(), 8U);  // nothing was appended
  value_of(session->evaluate(std::vector{1, 2}));
  EXPECT_EQ(session->size(), 10U);
}

TEST(Session, TokensOutsideTheVocabularyAreRefused) {
  const auto session = open_session(reference_path("llama-q8_0"));
  for (const std::int32_t token : {-1, 320, 1 << 30}) {
    const auto refused = session->evaluate(std::vector{1, token});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::BadToken);
  }
  EXPECT_EQ(session->size(), 0U);
}

TEST(Session, CandidatesAreTheLargestLogits) {
  const auto session = open_session(reference_path("qwen3-q5_k"));
  value_of(session->evaluate(some_tokens()));
  auto logits = value_of(session->logits());
  const auto candidates = value_of(session->top(40));
  ASSERT_EQ(candidates.size(), 40U);
  std::sort(logits.begin(), logits.end(), std::greater<>());
  for (std::size_t i = 0; i < candidates.size(); ++i) EXPECT_EQ(candidates[i].logit, logits[i]);
}

// ThreadSanitizer runs what has threads in its name.
TEST(ModelThreads, AnyNumberReadsAndPacksTheSame) {
  const TempDir dir;
  // Large enough for several chunks, with tiles across their borders.
  const std::string path =
      RandomModel("llama").vocabulary(3000).embedding(96).heads(6, 3, 16).feed_forward(480).type("Q8_0").write(
          dir.file("model.gguf"));
  const auto expected = logits_of(path, {.threads = 1});
  for (const unsigned threads : {2U, 8U}) EXPECT_EQ(logits_of(path, {.threads = threads}), expected) << threads;
}

TEST(Model, LoadingCanBeStopped) {
  Control control;
  control.cancelled = true;
  ModelOptions options;
  options.devices = {support::test_devices().front()};
  options.control = &control;
  const auto model = value_of(RunnableModel::open(reference_path("llama-q8_0"), options));
  EXPECT_EQ(model->wait().error().code, ErrorCode::Interrupted);
  EXPECT_EQ(Session::create(model).error().code, ErrorCode::Interrupted);
  control.cancelled = false;  // a loading that was stopped stays so
  const auto session = value_of(Session::create(model));
  EXPECT_EQ(session->evaluate(std::vector{1}).error().code, ErrorCode::Interrupted);
}

// Other models may load under the same Control.
TEST(Model, OneThatGoesAwayWhileItLoadsCancelsNothing) {
  Control control;
  for (int i = 0; i < 4; ++i) static_cast<void>(open_runnable(reference_path("llama-q8_0"), {.control = &control}));
  EXPECT_FALSE(control.cancelled);
}

TEST(Model, WarmUpLeavesNothingBehind) {
  const auto session = open_session(reference_path("llama-q8_0"));
  value_of(session->warm_up());
  EXPECT_EQ(session->size(), 0U);
  value_of(session->evaluate(some_tokens()));
  EXPECT_EQ(value_of(session->logits()), logits_of(reference_path("llama-q8_0")));
}

TEST(Model, DescribesItself) {
  const auto model = open_runnable(reference_path("llama-q4_k_m"));
  const ModelDescription& description = model->description();
  EXPECT_EQ(description.architecture, "llama");
  EXPECT_EQ(description.quantisation, "mostly Q4_K");  // nothing in the file says Q4_K_M
  EXPECT_EQ(description.layers, 2U);
  EXPECT_EQ(description.embedding, 256U);
  EXPECT_EQ(description.vocabulary, 320U);
  const LoadReport report = value_of(model->wait());
  EXPECT_EQ(report.bytes, description.bytes);
  EXPECT_GE(report.device_bytes, report.bytes);
}

}  // namespace
}  // namespace gguf_fuse::runtime
