// SPDX-License-Identifier: MIT
#include "fuse_option_table.hpp"

#include <fmt/format.h>

#include "completion.hpp"
#include "help.hpp"
#include "values.hpp"

namespace gguf_fuse::cli {
namespace {

constexpr unsigned kKnown = 1;  // a table has one command's options

void add_selection_options(OptionTable& table, FuseOptions& fuse) {
  table.begin_group("What to fuse", kKnown);
  table.choice({"--target"}, "T",
               fmt::format("engine that will load the result: {} (default: {})", fmt::join(names_of(targets()), ", "),
                           target_name(fuse.target)),
               names_of(targets()), [&](std::size_t index) { fuse.target = targets()[index].target; });
  table.choice({"--only"}, "WHAT",
               fmt::format("{}: leave the others separate", fmt::join(names_of(rule_families()), ", ")),
               names_of(rule_families()), [&](std::size_t index) {
                 const RuleFamily* const chosen = &rule_families()[index];
                 for (const RuleFamily& family : rule_families()) fuse.*family.chosen = &family == chosen;
               });
  table.value({"--layers"}, "RANGE", "only these layers: 3, 0-11, or 12- to the last one",
              [&](const std::string& name, const std::string& text) { fuse.layers = parse_layers(name, text); });
}

void add_output_options(OptionTable& table, ConvertRequest& request) {
  table.begin_group("Output", kKnown);
  table.flag({"-f", "--force"}, "replace an existing output", request.replace);
  table.flag({"-n", "--dry-run"}, "write nothing, say what would be done", request.dry_run);
  table.value({"--no-verify"}, {}, "do not read the output back and compare it with the input",
              [&](const std::string&, const std::string&) { request.verify = false; });
  table.flag({"--strict"},
             request.direction == Direction::Fuse ? "exit with 4, writing nothing, when there is nothing (more) to fuse"
                                                  : "exit with 5, keeping nothing, when it is not the proven original",
             request.strict);
  SplitOptions& split = request.fuse.split;
  table.value({"--split-max-size"}, "SIZE", "cut the output into shards of at most this size",
              [&](const std::string& name, const std::string& text) { split.max_bytes = parse_size(name, text); });
  table.value({"--split-max-tensors"}, "N", "cut the output into shards of at most N tensors",
              [&](const std::string& name, const std::string& text) {
                split.max_tensors = parse_count(name, text, 1, std::uint64_t{1} << 32);
              });
  table.flag({"--keep-split"}, "cut the output into shards where the input is cut", split.keep);
}

void add_speed_options(OptionTable& table, ConvertRequest& request, bool copies) {
  const std::vector<std::string> copy_modes{"auto", "kernel", "ring"};  // in the order of CopyMode
  PipelineOptions& pipeline = request.pipeline;
  table.begin_group("Speed and memory", kKnown);
  table.value({"-t", "--threads"}, "N", "readers at once (default: one per processor, at most 8)",
              [&](const std::string& name, const std::string& text) { pipeline.threads = parse_threads(name, text); });
  table.value({"--max-memory"}, "SIZE", "memory for buffers (default: 64MiB)",
              [&](const std::string& name, const std::string& text) { pipeline.max_memory = parse_size(name, text); });
  table.choice({"-lm", "--load-mode"}, "MODE",
               "how the input is read: none (through the page cache, without mmap), mmap or dio (past the page cache) "
               "(default: none)",
               load_mode_names(), [&](std::size_t index) { request.mode = static_cast<LoadMode>(index); });
  if (!copies) return;
  table.choice({"--copy"}, "HOW", fmt::format("how bytes move: {} (default: auto)", fmt::join(copy_modes, ", ")),
               copy_modes, [&](std::size_t index) { pipeline.copy = static_cast<CopyMode>(index); });
}

void add_command_options(OptionTable& table, Options& options) {
  constexpr const char* kShow = "What to show";
  switch (options.command) {
    case Command::Convert:
      add_selection_options(table, options.request.fuse);
      [[fallthrough]];
    case Command::Unfuse:
      add_output_options(table, options.request);
      return add_speed_options(table, options.request, true);
    case Command::Plan:
      add_selection_options(table, options.request.fuse);
      table.begin_group(kShow, kKnown);
      table.flag({"--explain"}, "every decision with its reason, layer by layer", options.explain);
      return;
    case Command::Inspect:
      table.begin_group(kShow, kKnown);
      table.flag({"--kv"}, "all metadata keys with their values", options.show_keys);
      table.flag({"--tensors"}, "every tensor on a line of its own", options.show_tensors);
      table.flag({"--types"}, "the table of known tensor types (needs no IN)", options.show_types);
      return;
    case Command::Verify:
    case Command::Hash:
      return add_speed_options(table, options.request, false);
    case Command::Targets:
      table.begin_group(kShow, kKnown);
      table.flag({"--markdown"}, "as a Markdown table", options.markdown);
      return;
  }
}

}  // namespace

OptionTable fuse_option_table(Command command, Options& options) {
  options.command = command;
  options.request.direction = command == Command::Unfuse ? Direction::Unfuse : Direction::Fuse;
  OptionTable table;
  table.join_letters();
  add_command_options(table, options);
  table.begin_group("Messages", kKnown);
  table.flag({"--json"}, "print one JSON object instead of text, errors too", options.json);
  const bool has_progress = command != Command::Plan && command != Command::Inspect && command != Command::Targets;
  if (has_progress) table.flag({"-q", "--quiet"}, "print nothing but warnings and errors", options.quiet);
  table.value({"-h", "--help"}, {}, "print this help", [](const std::string&, const std::string&) {});
  return table;
}

OptionTable program_option_table(std::string& text) {
  OptionTable table;
  const auto add = [&](std::vector<std::string> names, std::string help, std::string (*make)()) {
    table.value(std::move(names), {}, std::move(help),
                [&text, make](const std::string&, const std::string&) { text = make(); });
  };
  table.begin_group("Options", kKnown);
  add({"-h", "--help"}, "print this help; after a command, the options of that command", program_help);
  add({"--help-all"}, "print the help of all commands", all_help);
  add({"--version"}, "print version and licence", version_text);
  add_completion_options(table, [&text](Shell shell) { text = completion_text(shell); });
  return table;
}

}  // namespace gguf_fuse::cli
