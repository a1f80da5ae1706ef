// SPDX-License-Identifier: MIT
#include "plan_view.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "print.hpp"

namespace gguf_fuse::cli {
namespace {

enum class Cell { None, Kept, Mixed, Fused };

/// A rule's groups, and what it does in each layer.
struct RuleRow {
  const Rule* rule = nullptr;
  std::vector<const DecisionGroup*> groups;  // the one with most layers first
  std::vector<Cell> layers;
  std::size_t fused = 0, all = 0;
  std::uint64_t bytes = 0;
};

std::size_t layer_count(const std::vector<DecisionGroup>& groups) {
  std::size_t count = 0;
  for (const DecisionGroup& group : groups) count = std::max<std::size_t>(count, group.layers.back() + std::size_t{1});
  return count;
}

std::vector<RuleRow> rule_rows(const std::vector<DecisionGroup>& groups, std::size_t layers) {
  std::vector<RuleRow> rows;
  for (const Rule& rule : rules()) {
    RuleRow row{.rule = &rule, .groups = {}, .layers = std::vector<Cell>(layers, Cell::None)};
    for (const DecisionGroup& group : groups) {
      if (group.rule != rule.id) continue;
      row.groups.push_back(&group);
      row.all += group.layers.size();
      row.fused += group.fused ? group.layers.size() : 0;
      row.bytes += group.fused ? group.bytes : 0;
      for (const std::uint32_t layer : group.layers) row.layers[layer] = group.fused ? Cell::Fused : Cell::Kept;
    }
    std::stable_sort(row.groups.begin(), row.groups.end(),
                     [](const auto* a, const auto* b) { return a->layers.size() > b->layers.size(); });
    if (row.all != 0) rows.push_back(std::move(row));
  }
  return rows;
}

/// What stands for `layers` [first, last) of a rule.
Cell joined(const std::vector<Cell>& layers, std::size_t first, std::size_t last) {
  Cell cell = layers[first];
  for (std::size_t i = first + 1; i < last; ++i) {
    if (layers[i] == cell || layers[i] == Cell::None) continue;
    cell = cell == Cell::None ? layers[i] : Cell::Mixed;
  }
  return cell;
}

/// The bar of a rule in `cells` cells, all rules' being as long.
std::string bar(const std::vector<Cell>& layers, std::size_t cells, const PlanStyle& style) {
  constexpr std::string_view kAscii[] = {" ", ".", "+", "#"};
  constexpr std::string_view kBlocks[] = {" ", "\u2591", "\u2592", "\u2588"};
  std::string text;
  for (std::size_t i = 0; i < cells; ++i) {
    const std::size_t first = i * layers.size() / cells;
    const std::size_t last = std::max(first + 1, (i + 1) * layers.size() / cells);
    const auto cell = static_cast<std::size_t>(joined(layers, first, last));
    text += style.blocks ? kBlocks[cell] : kAscii[cell];
  }
  return text;
}

std::size_t bar_cells(std::size_t layers, std::size_t room) {
  constexpr std::size_t kLongest = 64, kShort = 24;
  const std::size_t most = std::clamp<std::size_t>(room, 8, kLongest);
  if (layers >= most) return most;
  // a few layers get several cells each, for a bar that can be seen
  return layers * std::max<std::size_t>(1, std::min(most, kShort) / layers);
}

std::string coloured_bar(const RuleRow& row, std::size_t cells, const PlanStyle& style) {
  const std::string text = bar(row.layers, cells, style);
  const int code = row.fused == row.all ? 32 : row.fused != 0 ? 33 : 2;
  return style.colours ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : text;
}

std::string count_text(const RuleRow& row) { return fmt::format("{} of {}", row.fused, row.all); }

std::string result_text(const RuleRow& row) {
  return row.fused == 0 ? "" : fmt::format("-> {}, {}", row.rule->result, format_bytes(row.bytes));
}

/// Why layers keep their tensors, a line a reason; ranges of layers where only some do.
std::string reasons(const RuleRow& row, std::size_t indent, std::size_t width) {
  std::string text;
  for (const DecisionGroup* group : row.groups) {
    if (group->fused) continue;
    const bool some = row.groups.size() > 1;
    const std::string label = some ? fmt::format("{}: ", format_layers(group->layers)) : std::string();
    text += labelled(std::string(indent, ' '), label + group->reason.text(), indent, width);
  }
  return text;
}

std::string legend(const PlanStyle& style, const std::vector<RuleRow>& rows, std::size_t layers, std::size_t cells) {
  bool fused = false, kept = false, mixed = false;
  for (const RuleRow& row : rows) {
    for (std::size_t i = 0; i < cells; ++i) {
      const std::size_t first = i * layers / cells;
      const Cell cell = joined(row.layers, first, std::max(first + 1, (i + 1) * layers / cells));
      fused = fused || cell == Cell::Fused;
      kept = kept || cell == Cell::Kept;
      mixed = mixed || cell == Cell::Mixed;
    }
  }
  std::vector<std::string> texts;
  if (fused) texts.push_back(fmt::format("{} fused", style.blocks ? "\u2588" : "#"));
  if (mixed) texts.push_back(fmt::format("{} some", style.blocks ? "\u2592" : "+"));
  if (kept) texts.push_back(fmt::format("{} kept as they are", style.blocks ? "\u2591" : "."));
  return fmt::format("{} (layers 0 to {}, left to right)\n", fmt::join(texts, ", "), layers - 1);
}

bool is_utf8_locale() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    std::string text(value);
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char letter) { return static_cast<char>(std::toupper(letter)); });
    return text.find("UTF-8") != std::string::npos || text.find("UTF8") != std::string::npos;
  }
  return false;
}

}  // namespace

PlanStyle PlanStyle::of_output() {
  const std::size_t width = terminal_width(stdout);
  return {.width = width == 0 ? std::size_t{80} : width,
          .wrap = width,
          .blocks = width != 0 && is_utf8_locale(),
          .colours = use_colour(stdout)};
}

std::string layer_bars(const std::vector<DecisionGroup>& groups, const PlanStyle& style) {
  const std::size_t layers = layer_count(groups);
  const std::vector<RuleRow> rows = rule_rows(groups, layers);
  std::size_t name_width = 0, count_width = 0, result_width = 0;
  for (const RuleRow& row : rows) {
    name_width = std::max(name_width, row.rule->name.size());
    count_width = std::max(count_width, count_text(row).size());
    result_width = std::max(result_width, result_text(row).size());
  }
  // What becomes of a rule's tensors stands beside its bar, or, where that would cost the bar cells, below.
  const auto room = [&](std::size_t used) { return style.width > used ? style.width - used : 0; };
  const std::size_t used = name_width + count_width + 4;
  const std::size_t cells = bar_cells(layers, room(used));
  const bool fits = cells + result_width + 2 <= room(used);
  std::string text;
  for (const RuleRow& row : rows) {
    text += fmt::format("{:<{}}  {}  {:>{}}", row.rule->name, name_width, coloured_bar(row, cells, style),
                        count_text(row), count_width);
    const std::string result = result_text(row);
    if (!result.empty()) text += fits ? "  " + result : "\n" + std::string(name_width + 2, ' ') + result;
    text += "\n" + reasons(row, name_width + 2, style.wrap);
  }
  return text + legend(style, rows, layers, cells);
}

std::string labelled(std::string_view label, std::string_view text, std::size_t label_width, std::size_t width) {
  Table table({{""}, {""}});
  table.add({fmt::format("{:<{}}", label, label_width > 2 ? label_width - 2 : 0), std::string(text)});
  return table.render(width);
}

std::string shell_word(const std::string& word) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=.,:/@%";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string quoted = "'";
  for (const char letter : word) quoted += letter == '\'' ? std::string("'\\''") : std::string(1, letter);
  return quoted + "'";
}

}  // namespace gguf_fuse::cli
