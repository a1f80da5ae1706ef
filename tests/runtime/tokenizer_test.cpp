// SPDX-License-Identifier: MIT
// The tokenizers of the small reference models: the ids of llama.cpp (tests/data/models/*.json), and what holds for any
// text.
#include "gguf_fuse/runtime/tokenizer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "gguf_fuse/loader/model.hpp"
#include "support/paths.hpp"
#include "support/random.hpp"

namespace gguf_fuse::runtime {
namespace {

using Ids = std::vector<std::int32_t>;
using support::Random;

const std::filesystem::path kModels = test_support::test_data("models");

Result<Tokenizer> try_load(const std::string& name) {
  const std::string path = (kModels / (name + ".gguf")).string();
  const Model model = open_model(path).value();  // gone before the tokenizer is used
  return Tokenizer::load(model.info.metadata(), path);
}

TEST(Tokenizer, IdsOfTheReferenceModels) {
  std::size_t compared = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kModels)) {
    if (entry.path().extension() != ".json") continue;
    const auto reference = nlohmann::json::parse(std::ifstream(entry.path()));
    const auto& recorded = reference.at("tokenizer");
    const std::string name = entry.path().stem().string();
    const std::string kind = recorded.at("kind");
    // Two of the models are of a type that another test's folder does not hold.
    if (!std::filesystem::exists(kModels / (name + ".gguf")) ||
        (!kind.starts_with("gpt2") && !kind.starts_with("llama")))
      continue;
    const auto tokenizer = try_load(name);
    ASSERT_TRUE(tokenizer) << tokenizer.error().message();
    for (const auto& test : recorded.at("tests")) {
      const std::string text = test.at("text");
      EXPECT_EQ(tokenizer->tokenize(text).value(), test.at("plain").get<Ids>()) << name << ": " << text;
      EXPECT_EQ(tokenizer->tokenize(text, {.add_special = true, .parse_special = true}).value(),
                test.at("special").get<Ids>())
          << name << ": " << text;
      ++compared;
    }
  }
  EXPECT_GE(compared, 100U);
}

TEST(Tokenizer, OtherKindsAreNamed) {
  for (const auto& [model, kind] : {std::pair{"bert-mean-f16", "\"bert\""}, {"bert-cls-q8_0", "\"t5\""}}) {
    const auto tokenizer = try_load(model);
    ASSERT_FALSE(tokenizer);
    EXPECT_EQ(tokenizer.error().code, ErrorCode::UnsupportedTokenizer);
    EXPECT_EQ(tokenizer.error().actual, kind);
  }
}

std::string random_text(Random& random, bool well_formed) {
  static const std::vector<std::string> kParts = {" ",   "  ",   "\n",     "\r\n",   "\t",
                                                  "the", "THE",  "'s",     "'Ll",    "123",
                                                  "4",   ".",    "==",     "é",      "漢",
                                                  "か",  "😀",    "\u0301", "\u3000", "\u180e",
                                                  "<s>", "</s>", "<0x41>", "\u2581", std::string(1, '\0')};
  std::string text;
  for (std::uint64_t i = random.below(30); i > 0; --i) {
    if (well_formed || random.chance(0.7)) {
      text += kParts[random.below(kParts.size())];
    } else {
      text += static_cast<char>(random.below(256));
    }
  }
  return text;
}

constexpr const char* kByteLevel[] = {"qwen2-f16",
                                      "qwen35moe-q8_0",
                                      "glm4moe-q4_0",
                                      "deepseek2-q8_0",
                                      "gpt-oss-mxfp4",
                                      "granite_swa-merged-q4_1",
                                      "llama-tied-ropefreqs-q4_0"};

TEST(Tokenizer, ByteLevelBpeGivesBackEveryText) {
  Random random(11);
  for (const char* name : kByteLevel) {
    const Tokenizer tokenizer = try_load(name).value();
    for (int round = 0; round < 200; ++round) {
      const std::string text = random_text(random, true);
      EXPECT_EQ(tokenizer.detokenize(tokenizer.tokenize(text).value()), text) << name;
      const Ids special = tokenizer.tokenize(text, {.add_special = false, .parse_special = true}).value();
      EXPECT_EQ(tokenizer.detokenize(special, true), text) << name;
    }
  }
}

TEST(Tokenizer, SentencePieceGivesBackEveryTextWithoutItsOwnMark) {
  Random random(12);
  for (const char* name : {"gemma3-q8_0", "llama-q8_0"}) {
    const Tokenizer tokenizer = try_load(name).value();
    for (int round = 0; round < 200; ++round) {
      std::string text = random_text(random, true);
      for (std::size_t at = text.find("\u2581"); at != std::string::npos; at = text.find("\u2581")) text.erase(at, 3);
      EXPECT_EQ(tokenizer.detokenize(tokenizer.tokenize(text).value()), text) << name;
      EXPECT_EQ(tokenizer.detokenize(tokenizer.tokenize(text, {.add_special = true}).value()), text) << name;
    }
  }
}

TEST(Tokenizer, RandomBytesGiveTokensOfTheVocabulary) {
  Random random(13);
  for (const char* name : {"gemma3-q8_0", "llama-q8_0", "qwen2-f16", "deepseek2-q8_0", "gpt-oss-mxfp4", "phi3-q4_k"}) {
    const Tokenizer tokenizer = try_load(name).value();
    for (int round = 0; round < 200; ++round) {
      std::string bytes(random.below(200), '\0');
      random.fill(std::as_writable_bytes(std::span(bytes)));
      const auto tokens = tokenizer.tokenize(bytes, {.add_special = true, .parse_special = true});
      ASSERT_TRUE(tokens) << tokens.error().message();
      for (const std::int32_t token : *tokens) {
        ASSERT_GE(token, 0);
        ASSERT_LT(static_cast<std::size_t>(token), tokenizer.size());
      }
    }
  }
}

TEST(Tokenizer, IllFormedBytesAreReplacedOrKept) {
  const std::string text = "a\xff\xe2\x82z";
  const auto back = [&](const char* name) {
    const Tokenizer tokenizer = try_load(name).value();
    return tokenizer.detokenize(tokenizer.tokenize(text).value());
  };
  EXPECT_EQ(back("qwen2-f16"), "a\ufffd\ufffd\ufffdz");
  EXPECT_EQ(back("gemma3-q8_0"), text);
}

// What takes quadratic time in a plain merge loop, or in a regular expression that goes back: each would take minutes.
TEST(Tokenizer, LongTextsOfOneKindEnd) {
  constexpr std::size_t kBytes = 200 << 10;
  std::vector<std::string> texts;
  for (const char* part : {" ", "a", "A", "\n", "\r\n", "1", "'", "\xff", "漢", "ab ", "<|", "\x01"}) {
    std::string text;
    while (text.size() < kBytes) text += part;
    texts.push_back(text);
    texts.push_back(text + "1");
  }
  for (const char* name : {"llama-q8_0", "qwen2-f16", "deepseek2-q8_0", "gpt-oss-mxfp4"}) {
    const Tokenizer tokenizer = try_load(name).value();
    for (const std::string& text : texts) {
      const auto tokens = tokenizer.tokenize(text, {.add_special = true, .parse_special = true});
      ASSERT_TRUE(tokens) << tokens.error().message();
      EXPECT_GT(tokens->size(), kBytes / 64);
    }
  }
}

TEST(Tokenizer, IdsOutsideTheVocabularyAreHarmless) {
  const Tokenizer tokenizer = try_load("qwen2-f16").value();
  const auto size = static_cast<std::int32_t>(tokenizer.size());
  for (const std::int32_t id :
       {-1, size, std::numeric_limits<std::int32_t>::max(), std::numeric_limits<std::int32_t>::min()}) {
    EXPECT_EQ(tokenizer.piece(id, true), "");
    EXPECT_FALSE(tokenizer.is_control(id));
    EXPECT_FALSE(tokenizer.is_end_of_generation(id));
  }
}

}  // namespace
}  // namespace gguf_fuse::runtime
