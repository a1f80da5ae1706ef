// SPDX-License-Identifier: MIT
#include <charconv>

#include "characters.hpp"
#include "gguf_fuse/jinja/template.hpp"
#include "string_literal.hpp"

namespace gguf_fuse::jinja {
namespace {

constexpr std::size_t kMostKeys = 4096;  // each is compared with those before it

class JsonReader {
 public:
  JsonReader(Heap& heap, std::string_view text, Origin origin) : heap_(heap), text_(text), origin_(origin) {}

  Result<Value> document() {
    GGUF_FUSE_ASSIGN(Value value, element());
    skip_space();
    if (at_ < text_.size()) return failure();
    return value;
  }

 private:
  [[nodiscard]] tl::unexpected<Error> failure() const {
    return fail(Error{.code = ErrorCode::TemplateFailed,
                      .expected = "JSON, with " + std::to_string(kMostKeys) + " keys an object at most",
                      .actual = "something else at byte " + std::to_string(at_)});
  }
  [[nodiscard]] char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip_space() {
    while (at_ < text_.size() && std::string_view(" \t\n\r").find(text_[at_]) != std::string_view::npos) ++at_;
  }
  bool skip(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  Result<Value> element() {
    constexpr unsigned kMostLevels = 100;
    skip_space();
    if (depth_ > kMostLevels) return failure();
    if (peek() == '{') return object();
    if (peek() == '[') return array();
    if (peek() == '"') return string();
    if (skip("true")) return Value(true);
    if (skip("false")) return Value(false);
    if (skip("null")) return Value(None{});
    return number();
  }

  Result<Value> object() {
    Dict* const dict = heap_.dict();
    ++at_;
    ++depth_;
    skip_space();
    while (peek() != '}') {
      if (peek() != '"' || dict->entries.size() == kMostKeys) return failure();
      GGUF_FUSE_ASSIGN(const Value key, string());
      skip_space();
      if (!skip(":")) return failure();
      GGUF_FUSE_ASSIGN(Value value, element());
      dict->set(key.text()->bytes(), std::move(value), origin_);
      if (!separated('}')) return failure();
    }
    ++at_;
    --depth_;
    return Value(dict);
  }

  Result<Value> array() {
    std::vector<Value> items;
    ++at_;
    ++depth_;
    skip_space();
    while (peek() != ']') {
      GGUF_FUSE_ASSIGN(Value value, element());
      items.push_back(std::move(value));
      if (!separated(']')) return failure();
    }
    ++at_;
    --depth_;
    return Value(heap_.list(std::move(items)));
  }

  // Behind an element: a comma and another one, or the end.
  bool separated(char end) {
    skip_space();
    if (peek() == end) return true;
    if (!skip(",")) return false;
    skip_space();
    return peek() != end;
  }

  Result<Value> string() {
    std::string text;
    for (++at_; peek() != '"'; ++at_) {
      if (at_ >= text_.size() || static_cast<unsigned char>(peek()) < 0x20) return failure();
      if (peek() != '\\') {
        text += peek();
        continue;
      }
      ++at_;
      if (peek() == 'u') {
        const auto code = escaped_code();
        if (!code) return failure();
        append_utf8(text, *code);
        continue;
      }
      constexpr std::string_view kLetters = "\"\\/bfnrt";
      const std::size_t known = kLetters.find(peek());
      if (at_ >= text_.size() || known == std::string_view::npos) return failure();
      text += "\"\\/\b\f\n\r\t"[known];
    }
    ++at_;
    return Value(std::move(text), origin_);
  }

  // At the u; stays at the last digit. Half a surrogate pair is U+FFFD.
  std::optional<char32_t> escaped_code() {
    const auto first = hexadecimal(text_.substr(at_ + 1), 4);
    if (!first) return std::nullopt;
    at_ += 4;
    if (*first < 0xD800 || *first >= 0xE000) return first;
    if (*first < 0xDC00 && text_.substr(at_ + 1).starts_with("\\u")) {
      const auto second = hexadecimal(text_.substr(at_ + 3), 4);
      if (second && *second >= 0xDC00 && *second < 0xE000) {
        at_ += 6;
        return 0x10000 + (*first - 0xD800) * 0x400 + (*second - 0xDC00);
      }
    }
    return 0xFFFD;
  }

  Result<Value> number() {
    const std::size_t end = std::min(text_.find_first_not_of("+-.0123456789eE", at_), text_.size());
    const std::string_view digits = text_.substr(at_, end - at_);
    const char* const last = digits.data() + digits.size();
    std::int64_t whole = 0;
    if (const auto read = std::from_chars(digits.data(), last, whole); read.ec == std::errc() && read.ptr == last) {
      at_ = end;
      return Value(whole);
    }
    double value = 0;
    if (const auto read = std::from_chars(digits.data(), last, value); read.ec != std::errc() || read.ptr != last) {
      return failure();
    }
    at_ = end;
    return Value(value);
  }

  Heap& heap_;
  std::string_view text_;
  Origin origin_;
  std::size_t at_ = 0;
  unsigned depth_ = 0;
};

}  // namespace

Result<Value> parse_json(Heap& heap, std::string_view json, Origin origin) {
  return JsonReader(heap, json, origin).document();
}

}  // namespace gguf_fuse::jinja
