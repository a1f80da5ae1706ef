// SPDX-License-Identifier: MIT
// Vocabulary keys that files do without, or have in odd ways (docs/vocabulary.md). Ids are llama.cpp's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <optional>

#include "vocabulary_maker.hpp"

namespace gguf_fuse::runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using namespace test_support::vocabularies;

struct OptionalRow {
  const char* what;
  std::function<void(Vocab&)> change;
  Ids ids;           // of "ab a<|x|>"
  const char* note;  // part of the only one; nullptr: there is none
  std::optional<std::int32_t> bos{};
  std::optional<std::int32_t> eos{};
  const char* model = "gpt2";
};

// What the loaders of the field do without, or take with a warning.
TEST(Tokenizer, KeysThatMayBeMissingOrOddAndWhatIsTakenInstead) {
  const OptionalRow rows[] = {
      {"as it is", [](Vocab&) {}, {256, 32, 'a', 257}, nullptr},
      {"no types", [](Vocab& v) { v.types.clear(); }, {256, 32, 'a', '<', '|', 'x', '|', '>'}, nullptr},
      {"merge of no token",
       [](Vocab& v) {
         v.merges = {"a zz", "a b"};
       },
       {256, 32, 'a', 257},
       "1 of 2 merges"},
      {"merge into no token",
       [](Vocab& v) {
         v.merges = {"a b", "b a"};
       },
       {256, 32, 'a', 257},
       "left out: \"b a\""},
      {"merge of one",
       [](Vocab& v) {
         v.merges = {"ab", "", "a b"};
       },
       {256, 32, 'a', 257},
       "2 of 3 merges"},
      {"no merge left", [](Vocab& v) { v.merges = {"x"}; }, {'a', 'b', 32, 'a', 257}, "1 of 1 merges"},
      {"version line",
       [](Vocab& v) {
         v.merges = {"#version: 0.2", "a b"};
       },
       {256, 32, 'a', 257},
       nullptr},
      {"no pre", [](Vocab& v) { v.pre.clear(); }, {256, 32, 'a', 257}, "tokenizer.ggml.pre is missing"},
      {"bos outside",
       [](Vocab& v) {
         v.ids = {{"bos_token_id", 258}};
       },
       {256, 32, 'a', 257},
       "tokenizer.ggml.bos_token_id is 258, which is no token (there are 258): the model has none"},
      {"eos outside, signed",
       [](Vocab& v) {
         v.signed_ids = {{"eos_token_id", -1}};
       },
       {256, 32, 'a', 257},
       "is -1"},
      {"eot outside",
       [](Vocab& v) {
         v.ids = {{"eot_token_id", ~0U}};
       },
       {256, 32, 'a', 257},
       "is 4294967295"},
      {"fim outside",
       [](Vocab& v) {
         v.ids = {{"fim_pad_token_id", ~0U}};
       },
       {256, 32, 'a', 257},
       "fim_pad_token_id"},
      {"bos wanted, outside",
       [](Vocab& v) {
         v.flags = {{"add_bos_token", true}};
       },
       {256, 32, 'a', 257},
       "wants a bos token"},
      {"bos by default, not named", [](Vocab& v) { v.pre = "llama-bpe"; }, {256, 32, 'a', 257}, "wants a bos token"},
      {"Falcon's default",
       [](Vocab& v) {
         v.tokens[11] = "<|endoftext|>";
         v.flags = {{"add_bos_token", true}};
       },
       {11, 256, 32, 'a', 257},
       nullptr,
       11,
       11},
      // SentencePiece: "▁ab▁a" of single characters and "ab".
      {"no scores", [](Vocab& v) { v.add("\u2581"); }, {1, 258, 256, 258, 'a', 257}, nullptr, 1, 2, "llama"},
      {"bos outside, with a default",
       [](Vocab& v) {
         v.add("\u2581");
         v.ids = {{"bos_token_id", 400}};
       },
       {1, 258, 256, 258, 'a', 257},
       "tokenizer.ggml.bos_token_id is 400, which is no token (there are 259): 1 is taken",
       1,
       2,
       "llama"},
  };
  for (const OptionalRow& row : rows) {
    SCOPED_TRACE(row.what);
    Vocab vocab = byte_vocab("gpt-2");
    vocab.model = row.model;
    vocab.add("<|x|>", kControl);
    row.change(vocab);
    const auto loaded = try_load(vocab);
    ASSERT_TRUE(loaded) << loaded.error().message();
    EXPECT_EQ(ids_of(*loaded, "ab a<|x|>", {.add_special = true, .parse_special = true}), row.ids);
    EXPECT_EQ(loaded->bos(), row.bos);
    EXPECT_EQ(loaded->eos(), row.eos);
    if (row.note == nullptr) {
      EXPECT_THAT(loaded->notes(), testing::IsEmpty());
    } else {
      EXPECT_THAT(loaded->notes(), ElementsAre(HasSubstr(row.note)));
    }
  }
}

// The keys' names before October 2024.
TEST(Tokenizer, OldNamesOfFillInTheMiddleTokensCount) {
  Vocab vocab = byte_vocab("gpt-2");
  const std::int32_t text = vocab.add("<fim_prefix>");
  vocab.ids = {{"prefix_token_id", 5}};
  EXPECT_FALSE(load(vocab).is_control(text));  // the text is looked for only where no key names one
  vocab.ids = {{"prefix_token_id", 5000}};
  EXPECT_TRUE(load(vocab).is_control(text));
}

// What a user writes is never a token of another kind, whichever way the text could be put together.
TEST(Tokenizer, TextIsNoTokenThatStandsForSomethingElse) {
  for (const std::int32_t type : {kControl, kUnknown, kByte}) {
    SCOPED_TRACE(type);
    Vocab bpe = byte_vocab("llama-bpe");  // takes whole words, too
    const std::int32_t word = bpe.add("cd", type);
    bpe.merges.emplace_back("c d");
    EXPECT_EQ(ids_of(load(bpe), "cd abcd"), (Ids{'c', 'd', 32, 256, 'c', 'd'})) << word;
    // With the field's parts of "</s>", as Llama 2's vocabulary has them.
    Vocab spm = byte_vocab("");
    spm.model = "llama";
    spm.flags = {{"add_space_prefix", false}, {"add_bos_token", false}};
    const std::int32_t open = spm.add("</");
    spm.add("s>");
    spm.add("</s>", type);
    spm.add("\u2205", type);
    spm.scores.assign(spm.tokens.size(), 0.0F);
    spm.scores[static_cast<std::size_t>(open)] = 1.0F;
    EXPECT_EQ(ids_of(load(spm), "</s>"), (Ids{open, open + 1}));
    for (const std::int32_t id : ids_of(load(spm), "\u2205")) EXPECT_NE(id, open + 3);
  }
}

}  // namespace
}  // namespace gguf_fuse::runtime
