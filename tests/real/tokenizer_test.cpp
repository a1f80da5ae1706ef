// SPDX-License-Identifier: MIT
// The vocabularies of real models: llama.cpp's ids for texts of every kind (tests/data/vocab/*.json).
#include "gguf_fuse/runtime/tokenizer.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "gguf_fuse/loader/model.hpp"
#include "gguf_fuse/runtime/chat.hpp"
#include "support/paths.hpp"

namespace gguf_fuse::runtime {
namespace {

using Ids = std::vector<std::int32_t>;

struct RealVocabulary {
  const char* model;
  const char* recorded;
};
constexpr RealVocabulary kSmolLM2{"smollm2-135m-instruct-q4_1.gguf", "SmolLM2-135M-Instruct.Q4_1.tokens.json"};
constexpr RealVocabulary kGemma3{"gemma-3-270m-it-q4_k_m.gguf", "gemma3-270m-q4_k_m.tokens.json"};

std::string find_model(const char* name) {
  const char* const models = std::getenv("GGUF_FUSE_MODELS");
  const std::string path = std::string(models != nullptr ? models : "/nonexistent") + "/" + name;
  return std::filesystem::exists(path) ? path : std::string();
}

#define NEED_MODEL(name)                     \
  const std::string path = find_model(name); \
  if (path.empty())                          \
  GTEST_SKIP() << name << " is not here: scripts/models.sh brings it, GGUF_FUSE_MODELS names its folder"

void expect_recorded_ids(const Tokenizer& tokenizer, const RealVocabulary& vocabulary) {
  const auto path = std::filesystem::path(test_support::test_data("vocab")) / vocabulary.recorded;
  const auto recorded = nlohmann::json::parse(std::ifstream(path));
  ASSERT_EQ(tokenizer.size(), recorded.at("n_vocab").get<std::size_t>());
  ASSERT_EQ(recorded.at("tests").size(), 43U);
  for (const auto& test : recorded.at("tests")) {
    const std::string text = test.at("text");
    const Ids plain = tokenizer.tokenize(text).value();
    EXPECT_EQ(plain, test.at("plain").get<Ids>()) << text;
    EXPECT_EQ(tokenizer.tokenize(text, {.add_special = true, .parse_special = true}).value(),
              test.at("special").get<Ids>())
        << text;
    EXPECT_EQ(tokenizer.detokenize(plain), text);
  }
}

TEST(RealTokenizer, SmolLM2) {
  NEED_MODEL(kSmolLM2.model);
  const Model model = open_model(path).value();
  const Tokenizer tokenizer = Tokenizer::load(model.info.metadata(), path).value();
  expect_recorded_ids(tokenizer, kSmolLM2);
  EXPECT_EQ(tokenizer.eos(), 2);
  EXPECT_TRUE(tokenizer.is_end_of_generation(2));
  EXPECT_TRUE(tokenizer.is_end_of_generation(0));  // <|endoftext|>
  EXPECT_FALSE(tokenizer.is_end_of_generation(1));
  const auto source = model.info.metadata().get_string("tokenizer.chat_template").value();
  const auto chat = ChatTemplate::parse(source, tokenizer, path).value();
  // its own template says what the built-in one says, and without marks in the messages the tokens are the whole text's
  const std::vector<ChatMessage> messages = {{"user", " Who  are you?\n"}, {"assistant", "I am ..."}, {"user", "Why?"}};
  const RenderedChat rendered = chat.render(messages).value();
  EXPECT_EQ(rendered.text, ChatTemplate::builtin("smollm")->render(messages).value().text);
  EXPECT_EQ(chat_tokens(tokenizer, rendered).value(),
            tokenizer.tokenize(rendered.text, {.parse_special = true}).value());
}

TEST(RealTokenizer, Gemma3) {
  NEED_MODEL(kGemma3.model);
  const Model model = open_model(path).value();
  const Tokenizer tokenizer = Tokenizer::load(model.info.metadata(), path).value();
  expect_recorded_ids(tokenizer, kGemma3);
  EXPECT_EQ(tokenizer.bos(), 2);
  EXPECT_TRUE(tokenizer.is_end_of_generation(1));
  EXPECT_TRUE(tokenizer.is_end_of_generation(106));  // <end_of_turn>
}

}  // namespace
}  // namespace gguf_fuse::runtime
