// SPDX-License-Identifier: MIT
#include "gguf_fuse/runtime/generate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/runtime/run_model.hpp"

namespace gguf_fuse::runtime {
namespace {

using support::open_runnable;
using support::read_reference;
using support::reference_path;
using support::value_of;
using testing::ElementsAreArray;
using testing::StartsWith;

/// A tiny model, which says nonsense but always the same, and a session of some context.
class Speaking {
 public:
  explicit Speaking(std::uint32_t context = 64)
      : model_(open_runnable(reference_path("llama-q8_0"), {.control = &control_})) {
    session_ = value_of(Session::create(model_, {.context = context, .candidates = 40}));
  }

  Session& session() { return *session_; }
  Control& control() { return control_; }
  const Tokenizer& tokenizer() { return *value_of(model_->tokenizer()); }

  Result<Generation> speak(const std::vector<std::int32_t>& prompt, const GenerateOptions& options,
                           const std::function<void(std::string_view)>& show = {},
                           const SamplerOptions& sampling = {.temperature = 0}) {
    Sampler sampler(sampling);
    return generate(*session_, tokenizer(), sampler, prompt, options, show);
  }

 private:
  Control control_;
  std::shared_ptr<RunnableModel> model_;
  std::unique_ptr<Session> session_;
};

const std::vector<std::int32_t> kPrompt{1, 261, 264, 272};

TEST(Generate, GreedyTokensAreTheReferences) {
  for (const auto& sequence : read_reference("llama-q8_0").sequences) {
    const auto generation = value_of(Speaking().speak(sequence.tokens, {.tokens = 8}));
    EXPECT_THAT(generation.tokens, ElementsAreArray(sequence.greedy));
    EXPECT_EQ(generation.reason, FinishReason::TokenLimit);
    EXPECT_EQ(generation.prompt_tokens, sequence.tokens.size());
  }
}

TEST(Generate, ShowsTheTextOfTheTokens) {
  Speaking speaking;
  std::string shown;
  const auto generation =
      value_of(speaking.speak(kPrompt, {.tokens = 30}, [&](std::string_view text) { shown += text; }));
  std::string pieces;
  for (const std::int32_t token : generation.tokens) pieces += speaking.tokenizer().piece(token);
  EXPECT_EQ(shown, generation.text);
  // whole characters: bytes that are none become U+FFFD, all others stay
  std::string text = generation.text;
  for (std::size_t at; (at = text.find("\xEF\xBF\xBD")) != std::string::npos;) text.erase(at, 3);
  std::string ascii;
  for (const char byte : pieces) {
    if (static_cast<unsigned char>(byte) < 0x80) ascii += byte;
  }
  std::string shown_ascii;
  for (const char byte : text) {
    if (static_cast<unsigned char>(byte) < 0x80) shown_ascii += byte;
  }
  EXPECT_EQ(shown_ascii, ascii);
  EXPECT_FALSE(ascii.empty());
}

TEST(Generate, NothingIsSampledWithoutAllowance) {
  Speaking speaking;
  const auto generation = value_of(speaking.speak(kPrompt, {.tokens = 0}));
  EXPECT_TRUE(generation.tokens.empty());
  EXPECT_EQ(generation.text, "");
  EXPECT_EQ(generation.reason, FinishReason::TokenLimit);
  EXPECT_EQ(speaking.session().size(), kPrompt.size());
}

TEST(Generate, TheLastTokenIsNotInTheSession) {
  Speaking speaking;
  static_cast<void>(value_of(speaking.speak(kPrompt, {.tokens = 5})));
  EXPECT_EQ(speaking.session().size(), kPrompt.size() + 4);
}

TEST(Generate, GoingOnIsTheSameAsNotStopping) {
  const auto whole = value_of(Speaking().speak(kPrompt, {.tokens = 12})).tokens;
  Speaking speaking;
  auto tokens = value_of(speaking.speak(kPrompt, {.tokens = 5})).tokens;
  const auto rest = value_of(speaking.speak({tokens.back()}, {.tokens = 7})).tokens;
  tokens.insert(tokens.end(), rest.begin(), rest.end());
  EXPECT_EQ(tokens, whole);
}

TEST(Generate, PenaltiesCountTheSequenceHoweverItCame) {
  // what is likely comes again and again, so that a token counted twice is seen
  const SamplerOptions options{.temperature = 0, .penalty_last = -1, .frequency_penalty = 0.3F};
  const auto whole = value_of(Speaking().speak(kPrompt, {.tokens = 30, .ignore_end = true}, {}, options)).tokens;
  Speaking speaking;
  Sampler sampler(options);
  std::vector<std::int32_t> prompt = kPrompt, tokens;
  while (tokens.size() < whole.size()) {  // the last token of each turn begins the next one
    const auto turn =
        value_of(generate(speaking.session(), speaking.tokenizer(), sampler, prompt, {.tokens = 3}, {})).tokens;
    tokens.insert(tokens.end(), turn.begin(), turn.end());
    prompt = {turn.back()};
  }
  EXPECT_EQ(tokens, whole);
  // and what was cut off counts no longer
  ASSERT_TRUE(speaking.session().truncate(0));
  const auto again = value_of(
      generate(speaking.session(), speaking.tokenizer(), sampler, kPrompt, {.tokens = 30, .ignore_end = true}, {}));
  EXPECT_EQ(again.tokens, whole);
}

TEST(Generate, StopTextsEndItEvenAcrossTokens) {
  Speaking speaking;
  const auto whole = value_of(speaking.speak(kPrompt, {.tokens = 20}));
  const std::string& text = whole.text;
  std::vector<std::size_t> characters;  // where they begin, and the end
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i == text.size() || (static_cast<unsigned char>(text[i]) & 0xC0U) != 0x80U) characters.push_back(i);
  }
  // every part of the text, so that some lie across tokens and some within one
  for (const std::size_t size : {1U, 2U, 5U}) {
    for (std::size_t i = 0; i + size < characters.size(); ++i) {
      const std::string stop = text.substr(characters[i], characters[i + size] - characters[i]);
      if (stop.find("\xEF\xBF\xBD") != std::string::npos) continue;  // stands for bytes that are no character
      ASSERT_TRUE(speaking.session().truncate(0));
      std::string shown;
      const auto generation = value_of(
          speaking.speak(kPrompt, {.tokens = 20, .stop = {stop}}, [&](std::string_view part) { shown += part; }));
      EXPECT_EQ(generation.reason, FinishReason::StopText) << stop;
      EXPECT_EQ(shown, text.substr(0, text.find(stop))) << stop;
      EXPECT_LE(generation.tokens.size(), whole.tokens.size());
    }
  }
}

TEST(Generate, AStopTextThatDoesNotComeChangesNothing) {
  Speaking speaking;
  const auto whole = value_of(speaking.speak(kPrompt, {.tokens = 10}));
  ASSERT_TRUE(speaking.session().truncate(0));
  // its beginning is the end of the text, which is held back until the end
  const std::string stop = whole.text.substr(whole.text.size() - 2) + "~~never~~";
  const auto other = value_of(speaking.speak(kPrompt, {.tokens = 10, .stop = {stop}}));
  EXPECT_EQ(other.text, whole.text);
  EXPECT_EQ(other.reason, FinishReason::TokenLimit);
}

TEST(Generate, AFullContextIsToldAndNotShifted) {
  Speaking speaking(16);
  const auto generation = value_of(speaking.speak(kPrompt, {.ignore_end = true}));
  EXPECT_EQ(generation.reason, FinishReason::ContextFull);
  EXPECT_EQ(speaking.session().size(), 16U);
  EXPECT_EQ(generation.tokens.size(), 16 - kPrompt.size() + 1);
}

TEST(Generate, APromptThatDoesNotFitIsAnErrorAndLeavesNothing) {
  Speaking speaking(16);
  const auto generation = speaking.speak(std::vector<std::int32_t>(17, 5), {});
  ASSERT_FALSE(generation);
  EXPECT_EQ(generation.error().code, ErrorCode::ContextFull);
  EXPECT_EQ(speaking.session().size(), 0U);
}

TEST(Generate, WithoutAPromptItGoesOnBehindTheLastToken) {
  Speaking speaking;
  const auto whole = value_of(speaking.speak(kPrompt, {.tokens = 8})).tokens;
  // the session was cut, so that the logits of its last token are lost
  ASSERT_TRUE(speaking.session().truncate(static_cast<std::uint32_t>(kPrompt.size())));
  EXPECT_EQ(value_of(speaking.speak({}, {.tokens = 8})).tokens, whole);
  ASSERT_TRUE(speaking.session().truncate(0));
  EXPECT_EQ(speaking.speak({}, {.tokens = 8}).error().code, ErrorCode::InvalidArgument);
}

TEST(Generate, NothingIsSampledAfterAStop) {
  Speaking speaking;
  value_of(speaking.session().evaluate(kPrompt));  // waits for the model, whose loading is not to be stopped
  speaking.control().cancelled = true;
  for (const std::vector<std::int32_t>& prompt : {kPrompt, {}}) {
    const auto stopped = value_of(speaking.speak(prompt, {.tokens = 8}));
    EXPECT_EQ(stopped.reason, FinishReason::Cancelled);
    EXPECT_THAT(stopped.tokens, testing::IsEmpty());
    EXPECT_EQ(stopped.text, "");
  }
}

TEST(Generate, NothingToBeginWithIsAnError) {
  const auto generation = Speaking().speak({}, {});
  ASSERT_FALSE(generation);
  EXPECT_EQ(generation.error().code, ErrorCode::InvalidArgument);
}

TEST(Generate, StopsBetweenTokensWhenCancelled) {
  Speaking speaking;
  std::string shown;
  const auto generation = value_of(speaking.speak(kPrompt, {.tokens = 50}, [&](std::string_view text) {
    shown += text;
    speaking.control().cancelled = true;
  }));
  EXPECT_EQ(generation.reason, FinishReason::Cancelled);
  EXPECT_FALSE(shown.empty());
  EXPECT_EQ(shown, generation.text);
  EXPECT_LT(generation.tokens.size(), 50U);
}

TEST(Generate, EndOfGenerationEndsItUnlessIgnored) {
  // sampled with a high temperature the end token comes sooner or later
  const SamplerOptions wild{.seed = 1, .temperature = 50, .top_k = 0, .top_p = 1, .min_p = 0};
  Speaking speaking(256);
  bool ended = false;
  for (std::uint32_t seed = 1; seed < 40 && !ended; ++seed) {
    ASSERT_TRUE(speaking.session().truncate(0));
    SamplerOptions options = wild;
    options.seed = seed;
    const auto generation = value_of(speaking.speak(kPrompt, {}, {}, options));
    if (generation.reason != FinishReason::EndOfGeneration) continue;
    ended = true;
    EXPECT_TRUE(speaking.tokenizer().is_end_of_generation(generation.tokens.back()));
    ASSERT_TRUE(speaking.session().truncate(0));
    const auto longer = value_of(speaking.speak(kPrompt, {.ignore_end = true}, {}, options));
    EXPECT_EQ(longer.reason, FinishReason::ContextFull);
    EXPECT_THAT(longer.text, StartsWith(generation.text.substr(0, generation.text.find('\xEF'))));
    ASSERT_TRUE(speaking.session().truncate(0));
    const auto special = value_of(speaking.speak(kPrompt, {.special = true}, {}, options));
    EXPECT_THAT(special.text, testing::EndsWith("</s>"));
  }
  EXPECT_TRUE(ended);
}

TEST(Generate, ReasonsHaveNames) {
  EXPECT_EQ(finish_reason_name(FinishReason::EndOfGeneration), "end_of_generation");
  EXPECT_EQ(finish_reason_name(FinishReason::Cancelled), "cancelled");
  EXPECT_EQ(finish_reason_name(static_cast<FinishReason>(99)), "unknown");
}

}  // namespace
}  // namespace gguf_fuse::runtime
