// SPDX-License-Identifier: MIT
#include "foreign_options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "gguf_fuse/loader/error.hpp"
#include "print.hpp"
#include "values.hpp"

namespace gguf_fuse::cli {
namespace {

bool is_one_of(std::string_view word, std::string_view words, char separator) {
  const auto all = split_words(words, separator);
  return std::find(all.begin(), all.end(), word) != all.end();
}

bool is_optional(std::string_view word) { return word.starts_with('['); }

/// llama.cpp's words for yes and no besides those that the row lists.
bool may_follow(std::string_view argument, std::string_view word) {
  return is_one_of(argument, word.substr(1, word.size() - 2), '|') ||
         is_one_of(argument, "on enabled true 1 off disabled false 0", ' ');
}

bool says_no(std::string_view value) { return is_one_of(value, "off disabled false 0", ' '); }

}  // namespace

std::vector<std::string_view> split_words(std::string_view text, char separator) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    if (end > 0) words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

ForeignOptions::Match ForeignOptions::find(std::string_view name) const {
  for (const ForeignTable& table : tables_) {
    for (const ForeignRow& row : table.rows) {
      if (row.verdict != Verdict::Same && is_one_of(name, row.names, ' ')) return {&table, &row};
    }
  }
  return {};
}

bool ForeignOptions::has(std::string_view name) const { return find(name).row != nullptr; }

void ForeignOptions::take(const std::vector<std::string>& arguments, std::size_t& at, std::string_view name,
                          std::vector<std::string>& idle) const {
  const Match match = find(name);
  const std::string_view word = match.row->word;
  const std::size_t equals = arguments[at].find('=');
  std::string value = equals == std::string::npos ? std::string() : arguments[at].substr(equals + 1);
  if (equals == std::string::npos && is_optional(word)) {
    if (at + 1 < arguments.size() && may_follow(arguments[at + 1], word)) value = arguments[++at];
  } else if (equals == std::string::npos) {
    for (std::size_t i = 0; i < split_words(word, ' ').size(); ++i) {
      if (at + 1 == arguments.size()) throw UsageError(fmt::format("option {} needs a value: {} {}", name, name, word));
      value = arguments[++at];
    }
  }
  judge(match, name, value, idle);
}

void ForeignOptions::judge(const Match& match, std::string_view name, std::string_view value,
                           std::vector<std::string>& idle) const {
  const ForeignRow& row = *match.row;
  if (row.verdict == Verdict::Harmless) {
    return idle.push_back(fmt::format("{} ({})", name, row.note));
  }
  if (is_one_of(value, row.idle_values, '|')) {
    return idle.push_back(fmt::format("{} {} (it is so already)", name, value));
  }
  throw UsageError(fmt::format("{} has {}, {} does not: {}", match.table->program,
                               value.empty() ? std::string(name) : fmt::format("{} {}", name, escape_text(value)), own_,
                               row.note));
}

void ForeignOptions::take_environment(std::vector<std::string>& idle) const {
  for (const ForeignTable& table : tables_) {
    for (const ForeignRow& row : table.rows) {
      for (const std::string_view name : split_words(row.environment, ' ')) {
        const char* value = std::getenv(std::string(name).c_str());
        if (value == nullptr || *value == '\0') continue;
        const bool flag = row.word.empty() || is_optional(row.word);
        if (flag && says_no(value)) continue;
        judge({&table, &row}, name, flag ? "" : value, idle);
      }
    }
  }
}

std::string ForeignOptions::markdown() const {
  constexpr std::string_view kVerdicts[] = {"the same", "no effect", "not there"};
  std::string out;
  for (const ForeignTable& table : tables_) {
    Table rows({{fmt::format("flags of {}", table.program)}, {"here"}, {""}});
    for (const ForeignRow& row : table.rows) {
      std::string note(row.note);
      if (!row.idle_values.empty()) note += fmt::format(" (without effect: {})", row.idle_values);
      for (std::size_t bar = 0; (bar = note.find('|', bar)) != std::string::npos; bar += 2) note.insert(bar, "\\");
      rows.add({fmt::format("`{}`", fmt::join(split_words(row.names, ' '), "` `")),
                std::string(kVerdicts[static_cast<std::size_t>(row.verdict)]), std::move(note)});
    }
    out += (out.empty() ? "" : "\n") + rows.render_markdown();
  }
  return out;
}

}  // namespace gguf_fuse::cli
