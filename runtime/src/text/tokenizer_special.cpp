// SPDX-License-Identifier: MIT
#include "text/tokenizer_special.hpp"

#include <algorithm>
#include <iterator>

namespace gguf_fuse::runtime::detail {
namespace {

bool is_space(char character) { return character == ' ' || (character >= '\t' && character <= '\r'); }

// Phi-3 leaves white space behind these.
bool keeps_space(std::string_view text) { return text == "<unk>" || text == "<s>" || text == "<|endoftext|>"; }

bool lies_in(std::span<const TextSpan> spans, std::size_t begin, std::size_t end) {
  const auto next = std::upper_bound(spans.begin(), spans.end(), begin,
                                     [](std::size_t value, const TextSpan& span) { return value < span.begin; });
  return next != spans.begin() && end <= std::prev(next)->end;
}

}  // namespace

SpecialTokens::SpecialTokens(const Vocabulary& vocabulary, bool strip_right) {
  for (std::size_t i = 0; i < vocabulary.size(); ++i) {
    const auto token = static_cast<std::int32_t>(i);
    const TokenType type = vocabulary.type(token);
    const bool always = type == TokenType::UserDefined;
    const std::string_view text = vocabulary.text(token);
    if (text.empty() || (!always && type != TokenType::Control && type != TokenType::Unknown)) continue;
    entries_.push_back({token, always, strip_right && !keeps_space(text)});
  }
  const auto text_of = [&](const Entry& entry) { return vocabulary.text(entry.token); };
  std::stable_sort(entries_.begin(), entries_.end(),
                   [&](const Entry& a, const Entry& b) { return text_of(a).size() > text_of(b).size(); });
  for (std::size_t i = 0; i < entries_.size(); ++i) by_text_.push_back(i);
  std::sort(by_text_.begin(), by_text_.end(),
            [&](std::size_t a, std::size_t b) { return text_of(entries_[a]) < text_of(entries_[b]); });
}

// Searching a text for each of thousands of tokens takes long; which ones occur at all is found in one walk, narrowing
// the sorted texts byte by byte.
std::vector<bool> SpecialTokens::present(const Vocabulary& vocabulary, std::string_view text,
                                         std::span<const TextSpan> markup) const {
  std::vector<bool> found(entries_.size());
  for (std::size_t at = 0; at < text.size(); ++at) {
    auto first = by_text_.begin();
    auto last = by_text_.end();
    for (std::size_t depth = 0; at + depth < text.size() && first != last; ++depth) {
      // A token that ends here comes before those that go on (a missing byte counts as -1).
      const auto byte_at = [&](std::size_t entry) {
        const std::string_view token = vocabulary.text(entries_[entry].token);
        return depth < token.size() ? static_cast<int>(static_cast<unsigned char>(token[depth])) : -1;
      };
      const int byte = static_cast<unsigned char>(text[at + depth]);
      first = std::lower_bound(first, last, byte, [&](std::size_t entry, int value) { return byte_at(entry) < value; });
      last = std::upper_bound(first, last, byte, [&](int value, std::size_t entry) { return value < byte_at(entry); });
      if (first == last) break;
      const Entry& shortest = entries_[*first];
      if (vocabulary.text(shortest.token).size() != depth + 1 || found[*first]) continue;
      found[*first] = shortest.always || lies_in(markup, at, at + depth + 1);
    }
  }
  return found;
}

std::vector<Fragment> SpecialTokens::partition(const Vocabulary& vocabulary, std::string_view whole,
                                               std::span<const TextSpan> markup) const {
  std::vector<Fragment> fragments;
  if (!whole.empty()) fragments.push_back({whole});
  const std::vector<bool> found = present(vocabulary, whole, markup);
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (!found[i]) continue;
    const Entry& entry = entries_[i];
    const std::string_view wanted = vocabulary.text(entry.token);
    // Where it is next written as a token, and not as text that looks like one.
    const auto find = [&](std::string_view rest) {
      const auto offset = static_cast<std::size_t>(rest.data() - whole.data());
      std::size_t at = rest.find(wanted);
      while (at != std::string_view::npos && !entry.always &&
             !lies_in(markup, offset + at, offset + at + wanted.size())) {
        at = rest.find(wanted, at + 1);
      }
      return at;
    };
    std::vector<Fragment> cut;
    cut.reserve(fragments.size() + 2);
    for (const Fragment& fragment : fragments) {
      std::string_view rest = fragment.text;
      for (std::size_t at = fragment.token < 0 ? find(rest) : std::string_view::npos; at != std::string_view::npos;
           at = find(rest)) {
        if (at > 0) cut.push_back({rest.substr(0, at)});
        cut.push_back({{}, entry.token});
        rest.remove_prefix(at + wanted.size());
        while (entry.strip_right && !rest.empty() && is_space(rest.front())) rest.remove_prefix(1);
      }
      if (fragment.token >= 0 || !rest.empty()) cut.push_back({rest, fragment.token});
    }
    fragments = std::move(cut);
  }
  return fragments;
}

}  // namespace gguf_fuse::runtime::detail
