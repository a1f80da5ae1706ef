// SPDX-License-Identifier: MIT
#include "lexer.hpp"

#include <algorithm>
#include <utility>

#include "characters.hpp"
#include "string_literal.hpp"

namespace gguf_fuse::jinja::detail {
namespace {

bool is_name_start(char c) { return is_upper(c) || is_lower(c) || c == '_' || static_cast<unsigned char>(c) >= 0x80U; }

class Lexer {
 public:
  explicit Lexer(std::string source) : source_(std::move(source)) {}

  Result<std::vector<Token>> run() {
    while (at_ < source_.size()) GGUF_FUSE_CHECK(next_part());
    add(TokenKind::End, {});
    return std::move(tokens_);
  }

 private:
  [[nodiscard]] bool follows(std::string_view text, std::size_t ahead = 0) const {
    return std::string_view(source_).substr(std::min(at_ + ahead, source_.size())).starts_with(text);
  }
  [[nodiscard]] char peek(std::size_t ahead = 0) const {
    return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0';
  }
  void advance(std::size_t bytes) {
    const std::size_t end = std::min(at_ + bytes, source_.size());
    for (; at_ < end; ++at_) line_ += source_[at_] == '\n' ? 1 : 0;
  }
  void skip_space() { advance(strip_range(std::string_view(source_).substr(at_), nullptr, true, false).begin); }
  void add(TokenKind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }
  [[nodiscard]] tl::unexpected<Error> failure(std::string what) const {
    return fail(syntax_error(line_, std::move(what)));
  }

  /// Plain text up to the next tag, and the tag.
  Result<void> next_part() {
    std::size_t tag = at_;
    do {
      tag = source_.find('{', tag);
      if (tag != std::string::npos && tag + 1 < source_.size() &&
          std::string_view("%{#").find(source_[tag + 1]) != std::string_view::npos) {
        break;
      }
    } while (tag != std::string::npos && ++tag < source_.size());
    if (tag >= source_.size()) {
      add(TokenKind::Data, source_.substr(at_));
      at_ = source_.size();
      return {};
    }
    add_data(tag);
    const char kind = source_[tag + 1];
    advance(tag - at_ + 2);
    if (peek() == '-' || peek() == '+') advance(1);
    if (kind == '#') return comment();
    if (kind == '%' && is_raw()) return raw();
    add(kind == '%' ? TokenKind::BlockBegin : TokenKind::PrintBegin, {});
    return expression(kind == '%');
  }

  void add_data(std::size_t tag) {
    const std::string_view data = std::string_view(source_).substr(at_, tag - at_);
    const std::size_t kept = kept_before(data, tag);
    if (kept > 0) add(TokenKind::Data, std::string(data.substr(0, kept)));
  }

  /// How much of the text stays before the tag at `tag`.
  [[nodiscard]] std::size_t kept_before(std::string_view data, std::size_t tag) const {
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    if (sign == '-') return strip_range(data, nullptr, false, true).end;
    if (sign == '+' || source_[tag + 1] == '{') return data.size();
    const std::size_t line_begin = data.rfind('\n') + 1;  // npos + 1 is 0
    if (line_begin == 0 && !line_starting_) return data.size();
    const std::string_view last = data.substr(line_begin);
    return strip_range(last, nullptr, false, true).end == 0 ? line_begin : data.size();
  }

  /// The end of a tag at this place and the white space that goes with it: `-%}` takes all, `%}` a line's end.
  bool tag_end(std::string_view end, bool trims_line) {
    const bool minus = peek() == '-';
    const std::size_t sign = minus || (peek() == '+' && trims_line) ? 1 : 0;
    if (!follows(end, sign)) return false;
    advance(sign + end.size());
    if (minus) {
      skip_space();
    } else if (sign == 0 && trims_line && peek() == '\n') {
      advance(1);
    }
    line_starting_ = source_[at_ - 1] == '\n';
    return true;
  }

  Result<void> comment() {
    const int begun = line_;
    while (at_ < source_.size()) {
      if (tag_end("#}", true)) return {};
      advance(1);
    }
    return fail(syntax_error(begun, "a comment that does not end"));
  }

  [[nodiscard]] bool is_raw() const {
    const std::string_view rest = std::string_view(source_).substr(at_);
    const std::size_t word = strip_range(rest, nullptr, true, false).begin;
    if (!rest.substr(word).starts_with("raw")) return false;
    const std::string_view tail = rest.substr(word + 3);
    const std::string_view end = tail.substr(strip_range(tail, nullptr, true, false).begin);
    return end.starts_with("%}") || end.starts_with("-%}");
  }

  Result<void> raw() {
    const int begun = line_;
    skip_space();
    advance(3);
    skip_space();
    static_cast<void>(tag_end("%}", false));
    const std::size_t begin = at_;
    for (std::size_t tag = source_.find("{%", at_); tag != std::string::npos; tag = source_.find("{%", tag + 2)) {
      const auto [data_end, data_line] = std::pair(at_, line_);
      advance(tag + 2 - at_);
      if (peek() == '-' || peek() == '+') advance(1);
      skip_space();
      const bool word = follows("endraw");
      if (word) advance(6);
      skip_space();
      if (word && tag_end("%}", true)) {
        const std::string_view data = std::string_view(source_).substr(begin, tag - begin);
        const std::size_t kept = kept_before(data, tag);
        if (kept > 0) add(TokenKind::Data, std::string(data.substr(0, kept)));
        return {};
      }
      at_ = data_end;
      line_ = data_line;
    }
    return fail(syntax_error(begun, "raw without endraw"));
  }

  Result<void> expression(bool block) {
    const int begun = line_;
    std::vector<char> open;
    for (;;) {
      skip_space();
      if (at_ >= source_.size()) return fail(syntax_error(begun, "a tag that does not end"));
      const std::size_t count = tokens_.size();
      if (open.empty() && tag_end(block ? "%}" : "}}", block)) {
        tokens_.push_back({block ? TokenKind::BlockEnd : TokenKind::PrintEnd, {}, line_});
        return {};
      }
      GGUF_FUSE_CHECK(expression_token());
      const Token& token = tokens_[count];
      if (token.kind != TokenKind::Operator) continue;
      const char c = token.text.front();
      if (c == '(' || c == '[' || c == '{') open.push_back(c);
      if (c != ')' && c != ']' && c != '}') continue;
      const char wanted = c == ')' ? '(' : c == ']' ? '[' : '{';
      if (open.empty() || open.back() != wanted) return failure(std::string("an unexpected ") + c);
      open.pop_back();
    }
  }

  Result<void> expression_token() {
    const char c = peek();
    if (is_digit(c)) return number();
    if (is_name_start(c)) {
      std::size_t size = 1;
      while (is_name_start(peek(size)) || is_digit(peek(size))) ++size;
      add(TokenKind::Name, source_.substr(at_, size));
      advance(size);
      return {};
    }
    if (c == '"' || c == '\'') {
      std::size_t size = 1;
      while (peek(size) != c) {
        size += peek(size) == '\\' ? std::size_t{2} : 1;
        if (at_ + size >= source_.size()) return failure("a string that does not end");
      }
      const std::string_view body = std::string_view(source_).substr(at_ + 1, size - 1);
      auto text = string_literal(body);
      if (!text) return failure("a string with an escape that means nothing: " + escape_text(body));
      add(TokenKind::String, std::move(*text));
      advance(size + 1);
      return {};
    }
    constexpr std::string_view kOperators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
                                               "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ","};
    for (const std::string_view text : kOperators) {
      if (!follows(text)) continue;
      add(TokenKind::Operator, std::string(text));
      advance(text.size());
      return {};
    }
    return failure("an unexpected \"" + escape_text(source_.substr(at_, character_at(source_, at_).size)) + '"');
  }

  Result<void> number() {
    std::size_t size = 0;
    const auto digits = [&] {
      while (is_digit(peek(size)) || (peek(size) == '_' && is_digit(peek(size + 1)))) ++size;
    };
    digits();
    TokenKind kind = TokenKind::Integer;
    // in "row.0.1" the dots are attributes'
    const bool attribute = tokens_.back().kind == TokenKind::Operator && tokens_.back().text == ".";
    if (!attribute && peek(size) == '.' && is_digit(peek(size + 1))) {
      kind = TokenKind::Float;
      ++size;
      digits();
    }
    if (!attribute && (peek(size) == 'e' || peek(size) == 'E')) {
      const std::size_t sign = peek(size + 1) == '+' || peek(size + 1) == '-' ? 1 : 0;
      if (is_digit(peek(size + 1 + sign))) {
        kind = TokenKind::Float;
        size += 1 + sign;
        digits();
      }
    }
    std::string text = source_.substr(at_, size);
    text.erase(std::remove(text.begin(), text.end(), '_'), text.end());
    add(kind, std::move(text));
    advance(size);
    return {};
  }

  std::string source_;
  std::size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::vector<Token> tokens_;
};

// Jinja2 reads every kind of line end as \n and drops the one at the template's end.
std::string with_plain_lines(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      text += source[i];
    } else if (i + 1 == source.size() || source[i + 1] != '\n') {
      text += '\n';
    }
  }
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

}  // namespace

Error syntax_error(int line, std::string what) {
  return {.code = ErrorCode::TemplateSyntax, .subject = "line " + std::to_string(line), .actual = std::move(what)};
}

Result<std::vector<Token>> tokenize(std::string_view source) { return Lexer(with_plain_lines(source)).run(); }

}  // namespace gguf_fuse::jinja::detail
