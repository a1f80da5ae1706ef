// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "commands.hpp"
#include "gguf_fuse/fuse/targets.hpp"
#include "json_output.hpp"
#include "print.hpp"

namespace gguf_fuse::cli {
namespace {

std::string_view support_word(Support value) {
  switch (value) {
    case Support::Unknown:
      return "unknown";
    case Support::No:
      return "no";
    case Support::Yes:
      return "yes";
    case Support::Required:
      return "required";
    case Support::Crashes:
      return "crashes";
    case Support::None:
      return "none";
  }
  return "unknown";
}

/// A table is for the eye: what is there stands out, what is not recedes.
std::string_view support_cell(Support value) {
  if (value == Support::None) return "-";
  if (value == Support::Unknown) return "?";
  return support_word(value);
}

/// The engines themselves; `both` follows from them and gguf-fuse reads all that is legal.
constexpr Target kEngines[] = {Target::LlamaCpp, Target::IkLlamaCpp};

/// Whether some architecture has tensors of that rule for that engine: a column of `no` says nothing.
bool worth_a_column(Target target, RuleId rule_id) {
  for (const ArchitectureRow& row : architectures()) {
    const Support value = support(target, row.name, rule_id);
    if (value == Support::Yes || value == Support::Required || value == Support::Crashes) return true;
  }
  return false;
}

struct Column {
  Target engine;
  const Rule* rule;
  std::string_view title;
};

/// Rules that follow the same columns of the table share one, under the name of what they have in common.
bool share_a_column(const Rule& a, const Rule& b) { return a.mainline == b.mainline && a.ik == b.ik; }

std::vector<Column> support_columns() {
  std::vector<Column> columns;
  for (const Target engine : kEngines) {
    for (const Rule& row : rules()) {
      if (!worth_a_column(engine, row.id)) continue;
      const bool next_of_same =
          !columns.empty() && columns.back().engine == engine && share_a_column(*columns.back().rule, row);
      if (next_of_same) {
        columns.back().title = row.family->name;
      } else {
        columns.push_back({engine, &row, row.result});
      }
    }
  }
  return columns;
}

void add_rows(Table& table, const std::vector<Column>& columns) {
  for (const ArchitectureRow& architecture : architectures()) {
    std::vector<std::string> cells{std::string(architecture.name)};
    for (const Column& column : columns) {
      cells.emplace_back(support_cell(support(column.engine, architecture.name, column.rule->id)));
    }
    table.add(std::move(cells));
  }
}

/// Engines above, tensors below: with both in one line the table would not fit a terminal.
std::string text_table() {
  const std::vector<Column> columns = support_columns();
  std::vector<Table::Column> engines{{""}};
  std::vector<std::string> tensors{"architecture"};
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const bool first = i == 0 || columns[i].engine != columns[i - 1].engine;
    engines.push_back({first ? std::string(target_name(columns[i].engine)) : ""});
    tensors.emplace_back(columns[i].title);
  }
  Table table(std::move(engines));
  table.add(std::move(tensors));
  add_rows(table, columns);
  return table.render();
}

std::string markdown_table() {
  const std::vector<Column> columns = support_columns();
  std::vector<Table::Column> titles{{"architecture"}};
  for (const Column& column : columns) {
    titles.push_back({fmt::format("{}<br>`{}`", target_name(column.engine), column.title)});
  }
  Table table(std::move(titles));
  add_rows(table, columns);
  return table.render_markdown();
}

Json targets_json() {
  Json list = Json::array();
  for (const TargetRow& row : targets()) list.push_back({{"name", row.name}, {"description", row.description}});
  Json table = Json::array();
  for (const ArchitectureRow& architecture : architectures()) {
    Json engines;
    for (const Target target : kEngines) {
      for (const Rule& row : rules()) {
        engines[std::string(target_name(target))][std::string(row.name)] =
            support_word(support(target, architecture.name, row.id));
      }
    }
    const auto& [text, engine] = architecture.trap;
    table.push_back({{"architecture", architecture.name},
                     {"support", std::move(engines)},
                     {"trap", fmt::format("{}{}{}", engine, engine.empty() ? "" : " ", text)}});
  }
  return {{"command", "targets"}, {"targets", std::move(list)}, {"architectures", std::move(table)}};
}

constexpr std::string_view kLegend =
    "yes: read as an alternative to the separate tensors; required: only the fused tensor is read; no: the file would\n"
    "not load; crashes: it would load and then crash or go wrong; -: no such tensors; ?: the engine does not know the\n"
    "architecture. gguf-fuse never writes a file that its target does not read.\n";

}  // namespace

Result<void> targets_command(const Options& options) {
  if (options.json) {
    put_json(stdout, targets_json());
    return {};
  }
  if (options.markdown) {
    put(stdout, markdown_table() + "\n" + std::string(kLegend));
    return {};
  }
  Table list({{""}, {""}});
  for (const TargetRow& row : targets()) list.add({std::string(row.name), std::string(row.description)});
  put(stdout, "Targets (--target):\n" + list.render(0, "  ") + "\n" + text_table() + "\n");
  put(stdout, kLegend);
  return {};
}

}  // namespace gguf_fuse::cli
