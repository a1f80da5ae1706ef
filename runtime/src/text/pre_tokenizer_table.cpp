// SPDX-License-Identifier: MIT
#include "text/pre_tokenizer.hpp"

// The patterns are those of the models' own tokenizer.json files, in the form in which llama.cpp reads them: ids must
// be the same there and here. That matters for tekken and gpt-4o, whose originals tell upper from lower case in all
// scripts and count combining marks as letters.

namespace gguf_fuse::runtime::detail {
namespace {

// English contractions in either case; not (?i), which would take U+017F for an s.
#define GGUF_FUSE_CONTRACTIONS "'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]"
#define GGUF_FUSE_GPT2 R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"
// What the patterns derived from cl100k_base share: words before the digits, symbols and white space behind them.
#define GGUF_FUSE_CL100K_WORDS GGUF_FUSE_CONTRACTIONS R"(|[^\r\n\p{L}\p{N}]?\p{L}+|)"
#define GGUF_FUSE_CL100K_REST R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"
#define GGUF_FUSE_O200K_REST R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"
// Letters that are not a-z, and letters that are not A-Z.
#define GGUF_FUSE_UPPER R"([^\P{L}a-z])"
#define GGUF_FUSE_LOWER R"([^\P{L}A-Z])"

constexpr PreTokenizerPatterns kDefault{R"([\p{P}$+<=>^~|]+)", GGUF_FUSE_GPT2, R"(\p{N}+)", "[0-9][0-9][0-9]"};
constexpr PreTokenizerPatterns kGpt2{GGUF_FUSE_GPT2};
constexpr PreTokenizerPatterns kSingleDigits{R"(\p{N})", GGUF_FUSE_GPT2};
constexpr PreTokenizerPatterns kFalcon{R"([\p{P}$+<=>^~|`]+)", GGUF_FUSE_GPT2, "[0-9][0-9][0-9]"};
constexpr PreTokenizerPatterns kLlama3{GGUF_FUSE_CL100K_WORDS R"(\p{N}{1,3})" GGUF_FUSE_CL100K_REST};
constexpr PreTokenizerPatterns kQwen2{GGUF_FUSE_CL100K_WORDS R"(\p{N})" GGUF_FUSE_CL100K_REST};
constexpr PreTokenizerPatterns kQwen35{GGUF_FUSE_CONTRACTIONS
                                       R"(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*)"
                                       R"(|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr PreTokenizerPatterns kTekken{"[^\\r\\n\\p{L}\\p{N}]?" GGUF_FUSE_UPPER "*" GGUF_FUSE_LOWER
                                       "+|[^\\r\\n\\p{L}\\p{N}]?" GGUF_FUSE_UPPER "+" GGUF_FUSE_LOWER
                                       "*|\\p{N}" GGUF_FUSE_O200K_REST};
constexpr PreTokenizerPatterns kGpt4o{"[^\\r\\n\\p{L}\\p{N}]?" GGUF_FUSE_UPPER "*" GGUF_FUSE_LOWER
                                      "+(?:" GGUF_FUSE_CONTRACTIONS ")?|[^\\r\\n\\p{L}\\p{N}]?" GGUF_FUSE_UPPER
                                      "+" GGUF_FUSE_LOWER "*(?:" GGUF_FUSE_CONTRACTIONS
                                      ")?|\\p{N}{1,3}" GGUF_FUSE_O200K_REST};
// U+0800 to U+9FA5 without white space, and Hangul.
#define GGUF_FUSE_ASIAN                                                                                       \
  R"([\x{800}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff})" \
  R"(\x{3001}-\x{9fa5}\x{ac00}-\x{d7ff}]+)"
// The second pattern lists the cased letters of Unicode 5.2 or so: what is younger is taken out of today's.
constexpr PreTokenizerPatterns kDeepseekLlm{
    R"([\r\n])",
    R"(\s?[^\P{L&}\x{560}-\x{588}\x{10c7}-\x{10ff}\x{1c80}-\x{1c8a}\x{2d00}-\x{2d2d})"
    R"(\x{a790}-\x{a7ff}\x{ab30}-\x{ab68}\x{10570}-\x{105bc}\x{16e40}-\x{16e7f}\x{1d400}-\x{1df2a}]+)",
    R"(\s?[!-/:-~\x{ff01}-\x{ff0f}\x{ff1a}-\x{ff5e}\x{2018}-\x{201f}\x{3001}\x{3002}]+)",
    R"((?<!\s)\s+\z)",  // looking back keeps it linear
    GGUF_FUSE_ASIAN,
    R"(\p{N}+)"};
constexpr PreTokenizerPatterns kDeepseekCoder{R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", GGUF_FUSE_ASIAN, R"(\p{N})"};
constexpr PreTokenizerPatterns kDeepseekV3{
    R"(\p{N}{1,3})", R"([\x{4e00}-\x{9fa5}\x{3040}-\x{30ff}]+)",
    R"([!-/:-@\[-`{-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr PreTokenizerPatterns kBailing{R"('(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})"
                                        R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)"};
constexpr PreTokenizerPatterns kSeedCoder{GGUF_FUSE_CL100K_WORDS
                                          R"(\p{N}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr PreTokenizerPatterns kMinicpm5{R"(\p{N}{1,3})", GGUF_FUSE_CL100K_WORDS R"(\p{N}+)" GGUF_FUSE_CL100K_REST};
constexpr PreTokenizerPatterns kLines{R"([^\n]+|\n+)"};

constexpr PreTokenizerRow kRows[] = {
    {"default", &kDefault},
    {"gpt-2", &kGpt2},
    {"phi-2", &kGpt2},
    {"gigachat", &kGpt2},
    {"a.x-4.0", &kGpt2},
    {"mellum", &kGpt2},
    {"mpt", &kGpt2},
    {"olmo", &kGpt2},
    {"jais", &kGpt2},
    {"trillion", &kGpt2},
    {"exaone4", &kGpt2},
    {"granite-docling", &kGpt2},
    {"starcoder", &kSingleDigits},
    {"refact", &kSingleDigits},
    {"command-r", &kSingleDigits},
    {"smollm", &kSingleDigits},
    {"codeshell", &kSingleDigits},
    {"exaone", &kSingleDigits},
    {"minerva-7b", &kSingleDigits},
    {"mellum2", &kSingleDigits},
    {"falcon", &kFalcon},
    {"llama3", &kLlama3, true, AddBos::Yes},
    {"llama-v3", &kLlama3, true, AddBos::Yes},
    {"llama-bpe", &kLlama3, true, AddBos::Yes},
    {"falcon3", &kLlama3, true, AddBos::Yes},
    {"falcon-h1", &kLlama3, true, AddBos::Yes},
    {"pixtral", &kLlama3, true, AddBos::Yes},
    {"midm-2.0", &kLlama3, true, AddBos::Yes},
    {"lfm2", &kLlama3, true, AddBos::Yes},
    {"dbrx", &kLlama3},
    {"smaug-bpe", &kLlama3},
    {"chatglm-bpe", &kLlama3},
    {"glm4", &kLlama3, true},
    {"glm5", &kLlama3, true},
    {"qwen2", &kQwen2},
    {"deepseek-r1-qwen", &kQwen2},
    {"kormo", &kQwen2},
    {"megrez", &kQwen2},
    {"stablelm2", &kQwen2},
    {"hunyuan", &kQwen2},
    {"solar-open", &kQwen2},
    {"grok-2", &kQwen2},
    {"qwen35", &kQwen35},
    {"tekken", &kTekken, true, AddBos::Yes},
    {"gpt-4o", &kGpt4o},
    {"llama4", &kGpt4o},
    {"kanana2", &kGpt4o},
    {"minimax-m2", &kGpt4o},
    {"deepseek-llm", &kDeepseekLlm},
    {"deepseek-coder", &kDeepseekCoder},
    {"deepseek-v3", &kDeepseekV3},
    {"hunyuan-dense", &kDeepseekV3},
    {"hy_v4", &kDeepseekV3},
    {"joyai-llm", &kDeepseekV3},
    {"bailingmoe", &kBailing},
    {"bailingmoe2", &kBailing},
    {"llada-moe", &kBailing},
    {"seed-coder", &kSeedCoder},
    {"minicpm5", &kMinicpm5, true},
    {"gemma4", &kLines, false, AddBos::Always, true},
};

#undef GGUF_FUSE_CONTRACTIONS
#undef GGUF_FUSE_GPT2
#undef GGUF_FUSE_CL100K_WORDS
#undef GGUF_FUSE_CL100K_REST
#undef GGUF_FUSE_O200K_REST
#undef GGUF_FUSE_UPPER
#undef GGUF_FUSE_LOWER
#undef GGUF_FUSE_ASIAN

}  // namespace

std::span<const PreTokenizerRow> pre_tokenizers() { return kRows; }

}  // namespace gguf_fuse::runtime::detail
