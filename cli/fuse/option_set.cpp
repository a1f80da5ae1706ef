// SPDX-License-Identifier: MIT
#include "option_set.hpp"

#include <fmt/format.h>

namespace gguf_fuse::cli {
namespace {

constexpr const char* kInputHelp = "a GGUF file, any one shard of a split model, a .gguf.gz, or - for standard input";

void add_value(CLI::App& app, const std::string& names, std::string& value, const std::string& word,
               const std::string& help) {
  app.add_option(names, value, help)->type_name(word);
}

void add_selection_options(CLI::App& app, RawOptions& raw) {
  app.option_defaults()->group("What to fuse");
  add_value(app, "--target", raw.target, "T",
            fmt::format("engine that will load the result: {} (default: {})", fmt::join(target_words(), ", "),
                        target_name(FuseOptions().target)));
  add_value(app, "--only", raw.only, "WHAT",
            fmt::format("{}: leave the other separate", fmt::join(only_words(), " or ")));
  add_value(app, "--layers", raw.layers, "RANGE", "only these layers: 3, 0-11, or 12- to the last one");
}

void add_output_options(CLI::App& app, RawOptions& raw) {
  app.option_defaults()->group("Output");
  app.add_flag("-f,--force", raw.force, "replace an existing output");
  app.add_flag("-n,--dry-run", raw.dry_run, "write nothing, say what would be done");
  app.add_flag("--no-verify", raw.no_verify, "do not read the output back and compare it with the input");
  if (app.get_name() == "convert") {
    app.add_flag("--strict", raw.strict, "exit with 4, writing nothing, when there is nothing (more) to fuse");
  } else {
    app.add_flag("--strict", raw.strict, "exit with 5, keeping nothing, when it is not the proven original");
  }
  add_value(app, "--split-max-size", raw.split_max_size, "SIZE", "cut the output into shards of at most this size");
  add_value(app, "--split-max-tensors", raw.split_max_tensors, "N", "cut the output into shards of at most N tensors");
  app.add_flag("--keep-split", raw.keep_split, "cut the output into shards where the input is cut");
}

void add_speed_options(CLI::App& app, RawOptions& raw, bool copies) {
  app.option_defaults()->group("Speed and memory");
  add_value(app, "-t,--threads", raw.threads, "N", "readers at once (default: one per processor, at most 8)");
  add_value(app, "--max-memory", raw.max_memory, "SIZE", "memory for buffers (default: 64MiB)");
  add_value(app, "--load-mode", raw.load_mode, "MODE",
            fmt::format("how the input is read: {} (default: read)", fmt::join(load_mode_words(), ", ")));
  if (!copies) return;
  add_value(app, "--copy", raw.copy, "HOW",
            fmt::format("how bytes move: {} (default: auto)", fmt::join(copy_words(), ", ")));
}

void add_message_options(CLI::App& app, RawOptions& raw, bool has_progress) {
  app.option_defaults()->group("Messages");
  app.add_flag("--json", raw.json, "print one JSON object instead of text, errors too");
  if (has_progress) app.add_flag("-q,--quiet", raw.quiet, "print nothing but warnings and errors");
}

void add_inspect_options(CLI::App& app, RawOptions& raw) {
  app.option_defaults()->group("What to show");
  app.add_flag("--kv", raw.keys, "all metadata keys with their values");
  app.add_flag("--tensors", raw.tensors, "every tensor on a line of its own");
  app.add_flag("--types", raw.types, "the table of known tensor types (needs no IN)");
}

void add_options(CLI::App& app, Command command, RawOptions& raw) {
  switch (command) {
    case Command::Convert:
      add_selection_options(app, raw);
      [[fallthrough]];
    case Command::Unfuse:
      add_output_options(app, raw);
      add_speed_options(app, raw, true);
      break;
    case Command::Plan:
      add_selection_options(app, raw);
      app.option_defaults()->group("What to show");
      app.add_flag("--explain", raw.explain, "every decision with its reason, layer by layer");
      break;
    case Command::Inspect:
      add_inspect_options(app, raw);
      break;
    case Command::Verify:
    case Command::Hash:
      add_speed_options(app, raw, false);
      break;
    case Command::Targets:
      app.option_defaults()->group("What to show");
      app.add_flag("--markdown", raw.markdown, "as a Markdown table");
      break;
  }
}

std::string argument_help(std::string_view argument) {
  if (argument == "OUT")
    return "the new file; NAME.gguf.gz is compressed, - is standard output, shards are named after it";
  if (argument == "FUSED") return "the fused model (or the other way round), as IN of convert";
  if (argument == "ORIGINAL") return "the model it was made from";
  return kInputHelp;
}

}  // namespace

std::vector<std::string> target_words() {
  std::vector<std::string> words;
  for (const TargetRow& row : targets()) words.emplace_back(row.name);
  return words;
}

std::vector<std::string> load_mode_words() { return {"read", "mmap", "dio"}; }
std::vector<std::string> copy_words() { return {"auto", "kernel", "ring"}; }
std::vector<std::string> only_words() {
  std::vector<std::string> words;
  for (const RuleFamily& family : rule_families()) words.emplace_back(family.name);
  return words;
}

std::unique_ptr<CLI::App> option_parser(const CommandRow& row, RawOptions& raw) {
  auto app = std::make_unique<CLI::App>(std::string(row.description), std::string(row.name));
  app->set_help_flag();  // ours comes last, among the messages
  app->option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  for (std::size_t i = 0; i < row.arguments.size(); ++i) {
    app->add_option(std::string(row.arguments[i]), i == 0 ? raw.first : raw.second, argument_help(row.arguments[i]));
  }
  add_options(*app, row.command, raw);
  const bool has_progress =
      row.command != Command::Plan && row.command != Command::Inspect && row.command != Command::Targets;
  add_message_options(*app, raw, has_progress);
  app->set_help_flag("-h,--help", "print this help");
  return app;
}

}  // namespace gguf_fuse::cli
