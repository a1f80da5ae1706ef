// SPDX-License-Identifier: MIT
#include "gguf_fuse/runtime/tokenizer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <variant>

#include "text/bpe.hpp"
#include "text/spm.hpp"
#include "text/tokenizer_special.hpp"
#include "text/tokenizer_text.hpp"

namespace gguf_fuse::runtime {

struct Tokenizer::State {
  std::variant<std::monostate, Bpe, Spm> model{};  // none: ids only
  std::size_t size = 0;
  Vocabulary vocabulary{};
  SpecialTokens special{vocabulary, false};
  TokenRoles roles{};
  std::vector<std::string> notes{};
  bool add_bos = false;
  bool add_eos = false;

  [[nodiscard]] bool contains(std::int32_t token) const { return vocabulary.contains(token); }
  /// The space that SPM puts before a text.
  [[nodiscard]] bool adds_space() const {
    const Spm* const spm = std::get_if<Spm>(&model);
    return spm != nullptr && spm->adds_space();
  }
};

namespace {

// Texts grow threefold at most (U+2581 for a space, U+FFFD for a byte), and offsets have 32 bits.
constexpr std::size_t kMostBytes = std::size_t{1} << 30;

enum class Kind { None, Bpe, Characters, Spm };
struct KindRow {
  std::string_view name;
  Kind kind;
  TokenRoles defaults;  // where the file names none
};

const KindRow kKinds[] = {
    {"none", Kind::None, {}},
    {"no_vocab", Kind::None, {}},
    {"gpt2", Kind::Bpe, {}},
    {"gemma4", Kind::Characters, {}},
    {"llama", Kind::Spm, {.bos = 1, .eos = 2, .unknown = 0, .fill = {}, .end_of_generation = {}}}};

Result<const KindRow*> kind_of(const Metadata& metadata, const std::string& path) {
  GGUF_FUSE_ASSIGN(const std::string_view name, metadata.get_string("tokenizer.ggml.model"));
  for (const KindRow& row : kKinds) {
    if (row.name == name) return &row;
  }
  return fail(Error{.code = ErrorCode::UnsupportedTokenizer,
                    .path = path,
                    .subject = "tokenizer.ggml.model",
                    .expected = "gpt2, llama, gemma4 or none",
                    .actual = '"' + std::string(name) + '"'});
}

// The number of ids of a file without a vocabulary, where it says.
Result<std::size_t> bare_size(const Metadata& metadata) {
  const auto architecture = metadata.find("general.architecture");
  const auto name = architecture ? architecture->as_string() : std::nullopt;
  const std::string key = std::string(name.value_or("")) + ".vocab_size";
  if (!metadata.find(key)) return 0;
  GGUF_FUSE_ASSIGN(const std::uint64_t size, metadata.get_unsigned(key));
  return static_cast<std::size_t>(size);
}

// Whether this is one of the phi-3 models, whose special tokens take the white space behind them. No key says so: the
// name is what there is.
bool is_phi3(const Metadata& metadata) {
  const auto value = metadata.find("general.name");
  std::string name(value ? value->as_string().value_or("") : "");
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return name.find("phi-3") != std::string::npos || name.find("phi3") != std::string::npos;
}

// A model that wants a token around every text and does not say which it is gets none.
Result<bool> addition(const Metadata& metadata, std::string_view name, bool by_default, std::int32_t token,
                      const std::string& path, std::vector<std::string>& notes) {
  GGUF_FUSE_ASSIGN(const bool wanted,
                   bool_or(metadata, fmt::format("tokenizer.ggml.add_{}_token", name), by_default, path));
  if (wanted && token < 0) {
    notes.push_back(
        fmt::format("the model wants a {} token around every text (tokenizer.ggml.add_{}_token), and does not say "
                    "which it is: none "
                    "is added",
                    name, name));
  }
  return wanted && token >= 0;
}

// The reader's default for BPE is 11, which is Falcon's end of text; in other vocabularies it is a word (GPT-2's
// comma).
std::int32_t falcon_token(const Vocabulary& vocabulary) {
  constexpr std::int32_t kFalcon = 11;
  return vocabulary.contains(kFalcon) && vocabulary.text(kFalcon) == "<|endoftext|>" ? kFalcon : -1;
}

}  // namespace

Tokenizer::Tokenizer(std::shared_ptr<const State> state) : state_(std::move(state)) {}

Result<Tokenizer> Tokenizer::load(const Metadata& metadata, std::string path) {
  GGUF_FUSE_ASSIGN(const KindRow* const row, kind_of(metadata, path));
  auto state = std::make_shared<State>();
  if (row->kind == Kind::None) {
    GGUF_FUSE_ASSIGN(state->size, bare_size(metadata));
    return Tokenizer(std::move(state));
  }
  GGUF_FUSE_ASSIGN(state->vocabulary, Vocabulary::load(metadata, path));
  state->size = state->vocabulary.size();
  state->roles = row->defaults;
  if (row->kind == Kind::Bpe) state->roles.bos = state->roles.eos = falcon_token(state->vocabulary);
  std::vector<std::string>& notes = state->notes;
  GGUF_FUSE_CHECK(read_token_roles(metadata, state->vocabulary, path, state->roles, notes));
  complete_token_roles(state->vocabulary, state->roles);

  AddBos add_bos = AddBos::Yes;
  if (row->kind == Kind::Spm) {
    GGUF_FUSE_ASSIGN(state->model, Spm::load(metadata, state->vocabulary, state->roles.unknown, path));
  } else {
    std::string_view pre = row->kind == Kind::Characters ? "gemma4" : "default";
    if (row->kind == Kind::Bpe && metadata.find("tokenizer.ggml.pre")) {
      GGUF_FUSE_ASSIGN(pre, metadata.get_string("tokenizer.ggml.pre"));
    } else if (row->kind == Kind::Bpe) {
      notes.emplace_back(
          "tokenizer.ggml.pre is missing, so texts are cut into words as \"default\" does, perhaps not as the model "
          "learned it; a file made again with a current converter says how");
    }
    GGUF_FUSE_ASSIGN(Bpe bpe, Bpe::load(metadata, state->vocabulary, pre, path, notes));
    add_bos = bpe.add_bos();
    state->model = std::move(bpe);
  }
  GGUF_FUSE_ASSIGN(state->add_bos, addition(metadata, "bos", add_bos != AddBos::No, state->roles.bos, path, notes));
  GGUF_FUSE_ASSIGN(state->add_eos, addition(metadata, "eos", false, state->roles.eos, path, notes));
  state->add_bos = state->add_bos || (add_bos == AddBos::Always && state->roles.bos >= 0);

  state->special = SpecialTokens(state->vocabulary, is_phi3(metadata));
  return Tokenizer(std::move(state));
}

Result<std::vector<std::int32_t>> Tokenizer::tokenize(std::string_view text, TokenizeOptions options) const {
  const TextSpan all{0, text.size()};
  return tokens_of(text, {&all, options.parse_special ? std::size_t{1} : std::size_t{0}}, options.add_special);
}

Result<std::vector<std::int32_t>> Tokenizer::tokenize(std::string_view text, std::span<const TextSpan> markup) const {
  return tokens_of(text, markup, false);
}

Result<std::vector<std::int32_t>> Tokenizer::tokens_of(std::string_view text, std::span<const TextSpan> markup,
                                                       bool add_special) const {
  if (std::holds_alternative<std::monostate>(state_->model)) {
    return fail(Error{.code = ErrorCode::UnsupportedTokenizer,
                      .subject = "tokenizer.ggml.model",
                      .expected = "a vocabulary",
                      .actual = "none"});
  }
  if (text.size() > kMostBytes) {
    return fail(Error{.code = ErrorCode::InvalidArgument,
                      .expected = fmt::format("a text of at most {} bytes", kMostBytes),
                      .actual = fmt::format("{}", text.size())});
  }
  std::vector<std::int32_t> tokens;
  if (add_special && state_->add_bos) tokens.push_back(state_->roles.bos);
  bool after_special = true;
  for (const Fragment& fragment : state_->special.partition(state_->vocabulary, text, markup)) {
    if (fragment.token >= 0) {
      tokens.push_back(fragment.token);
    } else if (const Spm* const spm = std::get_if<Spm>(&state_->model)) {
      spm->encode(state_->vocabulary, fragment.text, after_special, tokens);
    } else {
      GGUF_FUSE_CHECK(std::get<Bpe>(state_->model).encode(state_->vocabulary, fragment.text, tokens));
    }
    after_special = fragment.token >= 0;
  }
  if (add_special && state_->add_eos) tokens.push_back(state_->roles.eos);
  return tokens;
}

std::string Tokenizer::piece(std::int32_t token, bool special) const {
  if (!state_->contains(token)) return {};
  const std::string_view text = state_->vocabulary.text(token);
  switch (state_->vocabulary.type(token)) {
    case TokenType::Normal:
      if (const Bpe* const bpe = std::get_if<Bpe>(&state_->model)) return bpe->decode(text);
      return unmark_spaces(text);
    case TokenType::Byte: {
      const auto byte = byte_of_token_text(text);
      return byte ? std::string(1, *byte) : std::string();
    }
    case TokenType::UserDefined:
      return std::string(text);
    case TokenType::Control:
    case TokenType::Unknown:
      return special ? std::string(text) : std::string();
    case TokenType::Undefined:
    case TokenType::Unused:
      break;
  }
  return {};
}

std::string Tokenizer::detokenize(std::span<const std::int32_t> tokens, bool special) const {
  std::string text;
  bool added_space = state_->adds_space();
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const std::string bytes = piece(tokens[i], special);
    const bool strip = added_space && bytes.starts_with(' ');
    text += std::string_view(bytes).substr(strip ? 1 : 0);
    added_space = added_space && i == 0 && tokens[0] == state_->roles.bos;
  }
  return text;
}

std::size_t Tokenizer::size() const { return state_->size; }

std::optional<std::int32_t> Tokenizer::bos() const {
  return state_->roles.bos >= 0 ? std::optional(state_->roles.bos) : std::nullopt;
}

std::optional<std::int32_t> Tokenizer::eos() const {
  return state_->roles.eos >= 0 ? std::optional(state_->roles.eos) : std::nullopt;
}

const std::vector<std::string>& Tokenizer::notes() const { return state_->notes; }

bool Tokenizer::adds_bos() const { return state_->add_bos; }

bool Tokenizer::adds_eos() const { return state_->add_eos; }

bool Tokenizer::is_end_of_generation(std::int32_t token) const {
  const std::vector<std::int32_t>& ends = state_->roles.end_of_generation;
  return std::binary_search(ends.begin(), ends.end(), token);
}

bool Tokenizer::is_control(std::int32_t token) const {
  return state_->contains(token) && state_->vocabulary.type(token) == TokenType::Control;
}

}  // namespace gguf_fuse::runtime
