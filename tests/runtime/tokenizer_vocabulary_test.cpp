// SPDX-License-Identifier: MIT
// Tokenizers of vocabularies made for the test: each pre-tokenizer, tokens with a part to play, hostile metadata.
// Expected ids, words and end tokens are llama.cpp's for the same vocabularies.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <functional>
#include <set>
#include <sstream>

#include "gguf_fuse/loader/container.hpp"
#include "gguf_fuse/runtime/tokenizer.hpp"
#include "vocabulary_maker.hpp"

namespace gguf_fuse::runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using namespace test_support::vocabularies;

/// Every stretch of the text is a token, and any two neighbours merge: so the tokens of the text are the words that the
/// pre-tokenizer cuts.
Vocab everything_merges(const std::string& text, const std::string& pre) {
  Vocab vocab;
  vocab.pre = pre;
  vocab.ids = {{"bos_token_id", 0}};
  vocab.add("<s>", kControl);
  Texts letters;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const bool inside = pre == "gemma4" && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80;
    if (inside) {
      letters.back() += text[at];
    } else if (pre == "gemma4") {
      letters.push_back(text[at] == ' ' ? "\u2581" : std::string(1, text[at]));
    } else {
      letters.push_back(byte_letter(static_cast<unsigned char>(text[at])));
    }
  }
  const auto join = [&](std::size_t from, std::size_t to) {
    std::string joined;
    for (std::size_t i = from; i < to; ++i) joined += letters[i];
    return joined;
  };
  std::set<std::string> known;
  for (std::size_t i = 0; i < letters.size(); ++i) {
    for (std::size_t k = i + 1; k <= letters.size(); ++k) {
      if (known.insert(join(i, k)).second) vocab.add(join(i, k));
      for (std::size_t j = i + 1; j < k; ++j) vocab.merges.push_back(join(i, j) + " " + join(j, k));
    }
  }
  return vocab;
}

struct SplitRow {
  const char* names;                 // separated by spaces
  std::array<const char*, 5> words;  // of each text, separated by ¦
};

const SplitRow kSplits[] = {
    {"gemma4", {"Don'T i'll Ça", " `Àb/ 12345$%/\r¦\n", "\t\t 漢字、.c", "  ne\u0301x==¦\n\n", "getUrl\u00a0 y ¦\n\n"}},
    {"gpt-4o llama4 kanana2 minimax-m2",
     {"Don'T¦ i'll¦ Ça", " `¦Àb¦/¦ ¦123¦45¦$%/\r\n", "\t\t¦ 漢字¦、.¦c", " ¦ ne¦\u0301x¦==\n\n",
      "get¦Url¦\u00a0¦ y¦ \n\n"}},
    {"llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 dbrx smaug-bpe chatglm-bpe glm4 glm5 minicpm5",
     {"Don¦'T¦ i¦'ll¦ Ça", " `¦Àb¦/¦ ¦123¦45¦$%/\r\n", "\t\t¦ 漢字¦、.¦c", " ¦ ne¦\u0301x¦==\n\n",
      "getUrl¦\u00a0¦ y¦ \n\n"}},
    {"qwen2 deepseek-r1-qwen kormo megrez stablelm2 hunyuan solar-open grok-2 bailingmoe bailingmoe2 llada-moe",
     {"Don¦'T¦ i¦'ll¦ Ça", " `¦Àb¦/¦ ¦1¦2¦3¦4¦5¦$%/\r\n", "\t\t¦ 漢字¦、.¦c", " ¦ ne¦\u0301x¦==\n\n",
      "getUrl¦\u00a0¦ y¦ \n\n"}},
    {"qwen35",
     {"Don¦'T¦ i¦'ll¦ Ça", " `¦Àb¦/¦ ¦1¦2¦3¦4¦5¦$%/\r\n", "\t\t¦ 漢字¦、.¦c", " ¦ ne\u0301x¦==\n\n",
      "getUrl¦\u00a0¦ y¦ \n\n"}},
    {"tekken",
     {"Don¦'T¦ i¦'ll¦ Ça", " `¦Àb¦/¦ ¦1¦2¦3¦4¦5¦$%/\r\n", "\t\t¦ 漢字¦、.¦c", " ¦ ne¦\u0301x¦==\n\n",
      "get¦Url¦\u00a0¦ y¦ \n\n"}},
    {"deepseek-v3 hunyuan-dense hy_v4 joyai-llm",
     {"Don¦'T¦ i¦'ll¦ Ça", " `¦Àb¦/¦ ¦123¦45¦$%/\r\n", "\t\t ¦漢字¦、.¦c", " ¦ ne\u0301x¦==\n\n",
      "getUrl¦\u00a0¦ y¦ \n\n"}},
    {"seed-coder",
     {"Don¦'T¦ i¦'ll¦ Ça", " `¦Àb¦/¦ ¦1¦2¦3¦4¦5¦$%/¦\r\n", "\t\t¦ 漢字¦、.¦c", " ¦ ne¦\u0301x¦==¦\n\n",
      "getUrl¦\u00a0¦ y¦ \n\n"}},
    {"gpt-2 phi-2 gigachat a.x-4.0 mellum mpt olmo jais trillion exaone4 granite-docling",
     {"Don¦'¦T¦ i¦'ll¦ Ça", " `¦Àb¦/¦ 12345¦$%/¦\r\n", "\t\t¦ 漢字¦、.¦c", " ¦ ne¦\u0301¦x¦==¦\n\n",
      "getUrl¦\u00a0¦ y¦ \n\n"}},
    {"starcoder refact command-r smollm codeshell exaone minerva-7b mellum2",
     {"Don¦'¦T¦ i¦'ll¦ Ça", " `¦Àb¦/¦ ¦1¦2¦3¦4¦5¦$%/¦\r\n", "\t\t¦ 漢字¦、.¦c", " ¦ ne¦\u0301¦x¦==¦\n\n",
      "getUrl¦\u00a0¦ y¦ \n\n"}},
    {"default",
     {"Don¦'¦T¦ i¦'¦ll¦ Ça", " `¦Àb¦/¦ ¦123¦45¦$%/¦\r\n", "\t\t¦ 漢字¦、.¦c", " ¦ ne¦\u0301¦x¦==¦\n\n",
      "getUrl¦\u00a0¦ y¦ \n\n"}},
    {"falcon",
     {"Don¦'¦T¦ i¦'¦ll¦ Ça", " ¦`¦Àb¦/¦ ¦123¦45¦$%/¦\r\n", "\t\t¦ 漢字¦、.¦c", " ¦ ne¦\u0301¦x¦==¦\n\n",
      "getUrl¦\u00a0¦ y¦ \n\n"}},
    {"deepseek-coder",
     {"Don¦'¦T¦ i¦'¦ll¦ Ça", " `¦Àb¦/¦ ¦1¦2¦3¦4¦5¦$¦%/¦\r¦\n", "\t\t¦ ¦漢字¦、¦.¦c", " ¦ ne¦\u0301¦x¦==¦\n¦\n",
      "getUrl¦\u00a0¦ y¦ ¦\n¦\n"}},
    {"deepseek-llm",
     {"Don¦'¦T¦ i¦'¦ll¦ Ç¦a", " `¦À¦b¦/¦ ¦12345¦$%/¦\r¦\n", "\t\t ¦漢字¦、¦.¦c", " ¦ ne¦\u0301¦x¦==¦\n¦\n",
      "getUrl¦\u00a0¦ y¦ ¦\n¦\n"}},
};

TEST(PreTokenizer, CutsTextsIntoTheWordsOfLlamaCpp) {
  const std::string bar = "¦";
  for (const SplitRow& row : kSplits) {
    std::istringstream names(row.names);
    for (std::string name; names >> name;) {
      for (const std::string expected : row.words) {
        std::string text = expected;
        for (std::size_t at = text.find(bar); at != std::string::npos; at = text.find(bar)) text.erase(at, bar.size());
        const Tokenizer tokenizer = load(everything_merges(text, name));
        std::string words;
        for (const std::int32_t token : ids_of(tokenizer, text))
          words += (words.empty() ? "" : bar) + tokenizer.piece(token);
        EXPECT_EQ(words, expected) << name;
      }
    }
  }
}

TEST(PreTokenizer, AnUnknownNameIsAnErrorThatQuotesIt) {
  const auto tokenizer = try_load(byte_vocab("qwen-9\n"));
  ASSERT_FALSE(tokenizer);
  EXPECT_EQ(tokenizer.error().code, ErrorCode::UnsupportedTokenizer);
  EXPECT_THAT(tokenizer.error().message(), HasSubstr("\"qwen-9\\x0a\""));
}

TEST(PreTokenizer, AMissingNameIsDefault) {
  const std::string text = "a+'s;1234";
  const Tokenizer tokenizer = load(everything_merges(text, ""));
  Texts words;
  for (const std::int32_t token : ids_of(tokenizer, text)) words.push_back(tokenizer.piece(token));
  EXPECT_THAT(words, ElementsAre("a", "+'", "s", ";", "123", "4"));
}

TEST(PreTokenizer, IgnoreMergesTakesAWholeWordThatMergingWouldNotMake) {
  for (const auto& [pre, expected] : {std::pair<std::string, Ids>{"glm4", {257}}, {"qwen2", {256, 'c'}}}) {
    Vocab vocab = byte_vocab(pre);
    vocab.add("abc");
    EXPECT_EQ(ids_of(load(vocab), "abc"), expected) << pre;
  }
}

Vocab character_vocab() {
  Vocab vocab;
  vocab.model = "gemma4";
  vocab.add("<pad>", kControl);
  vocab.add("<eos>", kControl);
  vocab.add("<bos>", kControl);
  vocab.add("<unk>", kUnknown);
  const char* const digits = "0123456789ABCDEF";
  for (unsigned byte = 0; byte < 256; ++byte) {
    vocab.add(std::string("<0x") + digits[byte >> 4] + digits[byte & 15] + ">", kByte);
  }
  for (const char* text : {"\n\n", "\u2581", "a", "b", "é", "\u2581a", "ab", "\u2581ab"}) vocab.add(text);
  vocab.add("<|x|>", kUserDefined);
  vocab.add("漢");
  vocab.merges = {"\u2581 a", "\u2581a b", "a b", "\u2581 ab"};
  vocab.ids = {{"bos_token_id", 2}, {"eos_token_id", 1}};
  vocab.flags = {{"add_bos_token", false}};
  return vocab;
}

TEST(Tokenizer, BpeOnCharacters) {
  const Tokenizer tokenizer = load(character_vocab());
  const TokenizeOptions both{.add_special = true, .parse_special = true};
  EXPECT_THAT(ids_of(tokenizer, " ab a", both), ElementsAre(2, 267, 265));
  EXPECT_THAT(ids_of(tokenizer, "ab\n\né\n\n\nab", both), ElementsAre(2, 266, 260, 264, 14, 14, 14, 266));
  EXPECT_THAT(ids_of(tokenizer, "x<|x|> 漢字", both), ElementsAre(2, 124, 268, 261, 269, 233, 177, 155));
  EXPECT_THAT(ids_of(tokenizer, "a\xff", both), ElementsAre(2, 262, 243, 195, 193));  // U+FFFD
  EXPECT_EQ(tokenizer.detokenize(ids_of(tokenizer, " ab\n字 <|x|>")), " ab\n字 <|x|>");
}

struct EndsRow {
  Texts texts;  // tokens 257 and on, stored as normal ones
  Ids ends;     // beside 65, 67: EOS and EOT
  Ids controls;
  Ids special;  // of "a", then each text followed by "b"
};

TEST(Tokenizer, EndsOfAnswersAreKnownByTheirTexts) {
  const EndsRow rows[] = {
      {{"<|return|>", "<|call|>", "<|end|>", "<|channel|>", "<|message|>"},
       {257, 258},
       {257, 258},
       {'a', 257, 'b', 258, 'b', 259, 'b', 260, 'b', 261, 'b'}},
      {{"<|end|>", "<|im_end|>", "</s>", "<|fim_pad|>", "<fim_prefix>", "<|file_sep|>"},
       {257, 258, 259, 260, 262},
       {257, 258, 259, 260, 261, 262},
       {'a', 257, 'b', 258, 'b', 259, 'b', 260, 'b', 261, 'b', 262, 'b'}},
      {{"<|tool_response>", "</s>", "<turn|>", "<eos>"},
       {257, 259, 260},
       {257, 259, 260},
       {'a', 257, 'b', '<', '/', 's', '>', 'b', 259, 'b', 260, 'b'}},
  };
  for (const EndsRow& row : rows) {
    Vocab vocab = byte_vocab("gpt-2");
    vocab.ids = {{"eos_token_id", 65}, {"bos_token_id", 66}, {"eot_token_id", 67}};
    std::string text = "a";
    for (const std::string& token : row.texts) {
      vocab.add(token);
      text += token + "b";
    }
    const Tokenizer tokenizer = load(vocab);
    Ids ends, controls;
    for (std::int32_t id = 0; id < static_cast<std::int32_t>(tokenizer.size()); ++id) {
      if (tokenizer.is_end_of_generation(id) && id != 65 && id != 67) ends.push_back(id);
      if (tokenizer.is_control(id)) controls.push_back(id);
    }
    EXPECT_EQ(ends, row.ends) << row.texts.front();
    EXPECT_TRUE(tokenizer.is_end_of_generation(65) && tokenizer.is_end_of_generation(67));
    EXPECT_EQ(controls, row.controls) << row.texts.front();
    EXPECT_EQ(ids_of(tokenizer, text, {.add_special = true, .parse_special = true}), row.special);
    EXPECT_EQ(tokenizer.piece(row.ends.front()), "");
    EXPECT_EQ(tokenizer.piece(row.ends.front(), true), row.texts.front());
  }
}

TEST(Tokenizer, LongerSpecialTokensWinWhereverTheyStand) {
  Vocab vocab = byte_vocab("gpt-2");
  const std::int32_t shorter = vocab.add("<<x", kUserDefined);
  const std::int32_t longer = vocab.add("xyz>", kUserDefined);
  vocab.add("", kControl);  // matches nothing
  EXPECT_THAT(ids_of(load(vocab), "<<xyz><<x", {.parse_special = true}), ElementsAre('<', '<', longer, shorter));
}

TEST(Tokenizer, TextOfNoVocabularyCannotBeTokenized) {
  const support::Bytes file = support::GgufBuilder()
                                  .string("general.architecture", "llama")
                                  .string("tokenizer.ggml.model", "none")
                                  .u32("llama.vocab_size", 300)
                                  .build();
  const auto source = memory_source(file, "bare.gguf");
  const Tokenizer tokenizer = Tokenizer::load(read_container(*source).value().metadata, "bare.gguf").value();
  EXPECT_EQ(tokenizer.size(), 300U);
  EXPECT_EQ(tokenizer.bos(), std::nullopt);
  EXPECT_EQ(tokenizer.piece(5), "");
  EXPECT_FALSE(tokenizer.is_end_of_generation(-1));
  EXPECT_EQ(tokenizer.tokenize("a").error().code, ErrorCode::UnsupportedTokenizer);
}

struct HostileRow {
  const char* what;
  ErrorCode code;
  std::function<void(Vocab&)> damage;
  const char* model = "gpt2";
};

TEST(TokenizerHostile, ContradictionsAreErrors) {
  const HostileRow rows[] = {
      {"types too few", ErrorCode::BadHyperparameter, [](Vocab& v) { v.types.pop_back(); }},
      {"no token", ErrorCode::BadHyperparameter, [](Vocab& v) { v.tokens.clear(); }},
      {"equal tokens", ErrorCode::BadHyperparameter, [](Vocab& v) { v.add("ab"); }},
      {"merges missing", ErrorCode::MissingKey, [](Vocab& v) { v.merges.clear(); }},
      {"id that is a flag", ErrorCode::WrongValueType,
       [](Vocab& v) {
         v.flags = {{"eos_token_id", true}};
       }},
      {"flag that is a number", ErrorCode::WrongValueType,
       [](Vocab& v) {
         v.ids = {{"add_eos_token", 1}};
       }},
      {"another kind", ErrorCode::UnsupportedTokenizer, [](Vocab& v) { v.model = "t5"; }},
      {"scores too few", ErrorCode::BadHyperparameter, [](Vocab& v) { v.scores = {0.0F}; }, "llama"},
      {"score not a number", ErrorCode::BadHyperparameter,
       [](Vocab& v) { v.scores.assign(v.tokens.size(), std::nanf("")); }, "llama"},
  };
  for (const HostileRow& row : rows) {
    Vocab vocab = byte_vocab("gpt-2");
    vocab.model = row.model;
    row.damage(vocab);
    const auto tokenizer = try_load(vocab);
    ASSERT_FALSE(tokenizer) << row.what;
    EXPECT_EQ(tokenizer.error().code, row.code) << row.what << ": " << tokenizer.error().message();
    EXPECT_THAT(tokenizer.error().message(), HasSubstr("vocab.gguf")) << row.what;
    EXPECT_THAT(tokenizer.error().message(), HasSubstr("tokenizer.ggml.")) << row.what;
  }
  EXPECT_TRUE(try_load(byte_vocab("gpt-2")));
}

}  // namespace
}  // namespace gguf_fuse::runtime
