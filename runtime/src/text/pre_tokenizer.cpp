// SPDX-License-Identifier: MIT
#include "text/pre_tokenizer.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include "text/pattern.hpp"

namespace gguf_fuse::runtime::detail {
namespace {

// PCRE2's \s holds U+180E, which is no white space since Unicode 6.3.
std::string unicode_spaces(std::string_view pattern) {
  std::string result;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const std::string_view escape = pattern.substr(i, 2);
    if (escape == "\\s" || escape == "\\S") {
      result += escape == "\\s" ? "\\p{White_Space}" : "\\P{White_Space}";
    } else {
      result += escape.front() == '\\' ? escape : escape.substr(0, 1);
    }
    if (escape.front() == '\\') ++i;
  }
  return result;
}

struct FreeMatch {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};

// Cuts one stretch of text; PCRE2's error code, or 0.
int cut(const pcre2_code& pattern, pcre2_match_data& match, std::string_view text,
        std::vector<std::string_view>& words) {
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  std::size_t done = 0;
  while (done < text.size()) {
    // Checking UTF-8 again for each word would take quadratic time.
    const int count =
        pcre2_match(&pattern, subject, text.size(), done, PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, &match, nullptr);
    if (count == PCRE2_ERROR_NOMATCH) break;
    if (count < 0) return count;
    const PCRE2_SIZE* const range = pcre2_get_ovector_pointer(&match);
    if (range[0] > done) words.push_back(text.substr(done, range[0] - done));
    words.push_back(text.substr(range[0], range[1] - range[0]));
    done = range[1];
  }
  if (done < text.size()) words.push_back(text.substr(done));
  return 0;
}

}  // namespace

const PreTokenizerRow* find_pre_tokenizer(std::string_view name) {
  for (const PreTokenizerRow& row : pre_tokenizers()) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

Result<PreTokenizer> PreTokenizer::compile(const PreTokenizerRow& row) {
  PreTokenizer result;
  for (const std::string_view source : *row.patterns) {
    if (source.empty()) break;
    const std::string pattern = unicode_spaces(source);
    int code = 0;
    PCRE2_SIZE offset = 0;
    pcre2_code* const compiled = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                               PCRE2_UTF | PCRE2_UCP, &code, &offset, nullptr);
    if (compiled == nullptr) {
      return fail(Error{.code = ErrorCode::UnsupportedTokenizer,
                        .subject = "tokenizer.ggml.pre",
                        .expected = "a PCRE2 library that reads the pattern of " + std::string(row.name),
                        .actual = fmt::format("{} at {}", pcre2_message(code), offset),
                        .hint = "install PCRE2 10.40 or later"});
    }
    result.patterns_.emplace_back(compiled, [](pcre2_code* owned) { pcre2_code_free(owned); });
  }
  return result;
}

Result<std::vector<std::string_view>> PreTokenizer::split(std::string_view text) const {
  std::vector<std::string_view> words{text};
  for (const auto& pattern : patterns_) {
    const std::unique_ptr<pcre2_match_data, FreeMatch> match(pcre2_match_data_create(1, nullptr));
    if (!match) return fail(Error{.code = ErrorCode::SystemFailed, .subject = "pcre2_match_data_create"});
    std::vector<std::string_view> cut_words;
    for (const std::string_view word : words) {
      if (const int code = cut(*pattern, *match, word, cut_words); code != 0) {
        return fail(Error{.code = ErrorCode::SystemFailed, .subject = "pcre2_match", .actual = pcre2_message(code)});
      }
    }
    words = std::move(cut_words);
  }
  return words;
}

}  // namespace gguf_fuse::runtime::detail
