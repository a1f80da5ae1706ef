// SPDX-License-Identifier: MIT
// Any text, with any tokens beside a complete vocabulary of bytes: an error, or tokens of the vocabulary that give the
// text back; as a stream it is well-formed UTF-8, and as a chat template or a message it is harmless.
//
// The input: a byte that chooses (see Choice), then the text, then tokens, each behind a zero byte: its type, its text.
#include <algorithm>
#include <array>

#include "fuzz_check.hpp"
#include "gguf_fuse/runtime/chat.hpp"
#include "gguf_fuse/runtime/tokenizer.hpp"
#include "gguf_fuse/runtime/utf8_stream.hpp"

namespace gguf_fuse::fuzz {

using namespace runtime;

namespace {

constexpr std::string_view kSpaceMark = "\u2581";
constexpr std::array<std::string_view, 8> kPreTokenizers = {"default", "llama-bpe", "qwen2",        "gpt-2",
                                                            "smollm",  "gpt-4o",    "deepseek-llm", "morse"};
constexpr std::array<std::string_view, 3> kKinds = {"gpt2", "llama", "gemma4"};
constexpr std::int32_t kNormal = 1, kByte = 6;

struct Choice {
  std::string_view kind;
  std::string_view pre;
  bool parse_special;
  bool space_prefix;

  explicit Choice(unsigned byte)
      : kind(kKinds[byte % 3]),
        pre(kPreTokenizers[byte / 3 % 8]),
        parse_special(byte / 24 % 2 != 0),
        space_prefix(byte / 48 % 2 != 0) {}
};

struct Vocabulary {
  std::vector<std::string> texts;
  std::vector<std::int32_t> types;
  std::vector<float> scores;
  std::vector<std::string> merges;
  bool plain = true;  // nothing but normal tokens was added

  void add(std::string text, std::int32_t type) {
    texts.push_back(std::move(text));
    types.push_back(type);
    scores.push_back(-static_cast<float>(texts.size() % 7));
  }
};

/// The letter that byte-level BPE has for a byte: itself where it can be printed, else the next one from U+0100 on.
std::string byte_letter(unsigned byte) {
  const auto printable = [](unsigned b) { return (b >= '!' && b <= '~') || (b >= 0xa1 && b != 0xad); };
  unsigned letter = byte;
  if (!printable(byte)) {
    letter = 256;
    for (unsigned b = 0; b < byte; ++b) letter += printable(b) ? 0U : 1U;
  }
  if (letter < 0x80) return {static_cast<char>(letter)};
  return {static_cast<char>(0xc0 | (letter >> 6)), static_cast<char>(0x80 | (letter & 0x3f))};
}

Vocabulary complete_vocabulary(const Choice& choice) {
  Vocabulary vocabulary;
  for (unsigned byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", byte);
    const bool letters = choice.kind == "gpt2";
    vocabulary.add(letters ? byte_letter(byte) : name, letters ? kNormal : kByte);
  }
  // Without it the bytes of the mark come back, not the space.
  if (choice.kind != "gpt2") vocabulary.add(std::string(kSpaceMark), kNormal);
  return vocabulary;
}

/// Adds what the input names, and for byte-level BPE every merge that makes one of it.
void add_tokens(std::string_view rest, const Choice& choice, Vocabulary& vocabulary) {
  while (!rest.empty() && vocabulary.texts.size() < 400) {
    const std::size_t end = std::min(rest.find('\0'), rest.size());
    const std::string_view field = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (field.empty()) continue;
    const std::int32_t type = field[0] & 7;
    std::string text(field.substr(1));
    vocabulary.plain = vocabulary.plain && type == kNormal;
    const auto known = [&](std::string_view part) {
      return std::find(vocabulary.texts.begin(), vocabulary.texts.end(), part) != vocabulary.texts.end();
    };
    for (std::size_t i = 1; choice.kind != "llama" && i < std::min<std::size_t>(text.size(), 16); ++i) {
      if (known(text.substr(0, i)) && known(text.substr(i)))
        vocabulary.merges.push_back(text.substr(0, i) + " " + text.substr(i));
    }
    vocabulary.add(std::move(text), type);
  }
}

Result<Tokenizer> load(const Choice& choice, const Vocabulary& vocabulary) {
  const auto views = [](const std::vector<std::string>& texts) {
    return std::vector<std::string_view>(texts.begin(), texts.end());
  };
  HeaderWriter writer;
  writer.add_string("tokenizer.ggml.model", choice.kind);
  writer.add_string("tokenizer.ggml.pre", choice.pre);
  writer.add_string_array("tokenizer.ggml.tokens", views(vocabulary.texts));
  writer.add_string_array("tokenizer.ggml.merges", views(vocabulary.merges));
  writer.add_i32_array("tokenizer.ggml.token_type", vocabulary.types);
  writer.add_f32_array("tokenizer.ggml.scores", vocabulary.scores);
  writer.add_bool("tokenizer.ggml.add_space_prefix", choice.space_prefix);
  writer.add_u32("tokenizer.ggml.bos_token_id", 1);
  writer.add_bool("tokenizer.ggml.add_bos_token", true);
  const Bytes header = writer.finish();
  const auto source = memory_source(header, "fuzz.gguf");
  const Container container = must(read_container(*source), "a header of the fuzzer's own is refused:");
  return Tokenizer::load(container.metadata, "fuzz.gguf");
}

std::string unmarked(std::string text) {
  for (std::size_t at = text.find(kSpaceMark); at != std::string::npos; at = text.find(kSpaceMark, at)) {
    text.replace(at, kSpaceMark.size(), " ");
  }
  return text;
}

std::string stream(std::string_view text, std::size_t piece) {
  Utf8Stream utf8;
  std::string out;
  for (std::size_t at = 0; at < text.size(); at += piece) out += utf8.push(text.substr(at, piece));
  return out + utf8.flush();
}

void check_tokens(const Tokenizer& tokenizer, const Choice& choice, bool plain, std::string_view text) {
  const TokenizeOptions options{.add_special = false, .parse_special = choice.parse_special};
  const auto tokens = must(tokenizer.tokenize(text, options), "a text is refused:");
  const auto with_bos =
      must(tokenizer.tokenize(text, {.add_special = true, .parse_special = choice.parse_special}), "");
  require(with_bos.size() == tokens.size() + 1, "BOS is not one token more");
  bool control = false;
  for (const std::int32_t token : tokens) {
    require(token >= 0 && static_cast<std::size_t>(token) < tokenizer.size(), "an id that is no token");
    control = control || tokenizer.is_control(token);
  }
  const std::string back = tokenizer.detokenize(tokens, true);
  require(tokenizer.detokenize(with_bos, false).size() <= back.size() + 1, "special tokens that are shown");
  const bool well_formed = stream(text, text.size() + 1) == text;
  // A broken character may take the bytes of a space mark with it, as in llama.cpp.
  if (!plain || control || !well_formed) return;
  const std::string wanted = choice.kind == "gpt2" ? std::string(text) : unmarked(std::string(text));
  require(back == wanted, "the tokens give another text:", escape_text(back) + " for " + escape_text(wanted));
}

void check_stream(std::string_view text) {
  const std::string whole = stream(text, text.size() + 1);
  require(stream(whole, 1) == whole, "a stream that is not well-formed:", escape_text(whole));
  for (const std::size_t piece : {1U, 2U, 3U, 5U}) require(stream(text, piece) == whole, "pieces make a difference");
}

// What is no markup never makes control tokens, and a conversation has as many tokens as it needs whatever is said.
void check_chat(const Tokenizer& tokenizer, std::string_view text) {
  const auto data = must(tokenizer.tokenize(text, std::span<const TextSpan>()), "a text is refused:");
  for (const std::int32_t token : data) require(!tokenizer.is_control(token), "a message makes control tokens");
  const auto chat = must(ChatTemplate::builtin("chatml"), "no chatml:");
  const auto rendered = must(chat.render(std::vector<ChatMessage>{{"user", std::string(text)}}), "a chat is refused:");
  require(!must(chat_tokens(tokenizer, rendered), "a chat is refused:").empty(), "a chat without tokens");
}

}  // namespace
}  // namespace gguf_fuse::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gguf_fuse::fuzz;
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const Choice choice(data[0]);
  const std::size_t end = std::min(input.find('\0', 1), size);
  const std::string_view text = input.substr(1, end - 1);
  Vocabulary vocabulary = complete_vocabulary(choice);
  add_tokens(input.substr(std::min(end + 1, size)), choice, vocabulary);
  if (const auto tokenizer = load(choice, vocabulary)) {
    check_tokens(*tokenizer, choice, vocabulary.plain, text);
    check_chat(*tokenizer, text);
  } else {
    check_error(tokenizer.error());
  }
  check_stream(text);
  return 0;
}
