// SPDX-License-Identifier: MIT
#include "options.hpp"

#include <fmt/format.h>

#include "arguments.hpp"
#include "help.hpp"
#include "option_set.hpp"
#include "values.hpp"

namespace gguf_fuse::cli {
namespace {

void convert_fuse_options(const RawOptions& raw, FuseOptions& fuse) {
  if (!raw.target.empty()) fuse.target = targets()[parse_choice("--target", raw.target, target_words())].target;
  if (!raw.only.empty()) {
    const std::size_t chosen = parse_choice("--only", raw.only, only_words());
    for (const RuleFamily& family : rule_families()) fuse.*family.chosen = &family == &rule_families()[chosen];
  }
  if (!raw.layers.empty()) fuse.layers = parse_layers("--layers", raw.layers);
  if (!raw.split_max_size.empty()) fuse.split.max_bytes = parse_size("--split-max-size", raw.split_max_size);
  if (!raw.split_max_tensors.empty()) {
    constexpr std::uint64_t kMostTensors = std::uint64_t{1} << 32;
    fuse.split.max_tensors = parse_count("--split-max-tensors", raw.split_max_tensors, 1, kMostTensors);
  }
  fuse.split.keep = raw.keep_split;
  if (raw.keep_split && (fuse.split.max_bytes != 0 || fuse.split.max_tensors != 0)) {
    throw UsageError("--keep-split cuts where the input is cut; leave out the other --split options");
  }
}

void convert_pipeline_options(const RawOptions& raw, ConvertRequest& request) {
  constexpr std::uint64_t kMostThreads = 256;
  PipelineOptions& pipeline = request.pipeline;
  if (!raw.threads.empty()) {
    pipeline.threads = static_cast<unsigned>(parse_count("--threads", raw.threads, 1, kMostThreads));
  }
  if (!raw.max_memory.empty()) pipeline.max_memory = parse_size("--max-memory", raw.max_memory);
  if (!raw.load_mode.empty()) {
    request.mode = static_cast<LoadMode>(parse_choice("--load-mode", raw.load_mode, load_mode_words()));
  }
  if (!raw.copy.empty()) pipeline.copy = static_cast<CopyMode>(parse_choice("--copy", raw.copy, copy_words()));
}

Options convert_options(Command command, const RawOptions& raw) {
  Options options;
  options.command = command;
  ConvertRequest& request = options.request;
  request.input = raw.first;
  (command == Command::Verify ? options.original : request.output) = raw.second;
  request.direction = command == Command::Unfuse ? Direction::Unfuse : Direction::Fuse;
  convert_fuse_options(raw, request.fuse);
  convert_pipeline_options(raw, request);
  request.replace = raw.force;
  request.verify = !raw.no_verify;
  request.dry_run = raw.dry_run;
  request.strict = raw.strict;
  options.json = raw.json;
  options.quiet = raw.quiet;
  options.explain = raw.explain;
  options.show_keys = raw.keys;
  options.show_tensors = raw.tensors;
  options.show_types = raw.types;
  options.markdown = raw.markdown;
  return options;
}

void check_positionals(const CommandRow& row, const RawOptions& raw) {
  if (row.command == Command::Inspect && raw.types) return;
  const std::string* given[] = {&raw.first, &raw.second};
  for (std::size_t i = 0; i < row.arguments.size(); ++i) {
    if (!given[i]->empty()) continue;
    throw UsageError(
        fmt::format("{} is missing: gguf-fuse {} {}", row.arguments[i], row.name, fmt::join(row.arguments, " ")));
  }
  if (row.command == Command::Verify && raw.first == "-" && raw.second == "-") {
    throw UsageError("only one of FUSED and ORIGINAL can be standard input");
  }
}

/// Texts that are asked for without a command; nothing when it is not one of them.
std::string requested_text(const std::vector<std::string>& arguments) {
  const std::string& first = arguments.front();
  if (first == "--version") return version_text();
  if (first == "--help-all" || first == "--help_all") return all_help();
  const bool help = first == "-h" || first == "--help" || first == "help";
  if (!help) return {};
  if (arguments.size() == 1) return program_help();
  const CommandRow* row = find_command(arguments[1]);
  return row == nullptr ? program_help() : command_help(*row);
}

}  // namespace

CommandLine parse_command_line(std::vector<std::string> arguments) {
  if (arguments.empty()) throw UsageError("what to do? gguf-fuse IN OUT fuses a model");
  if (std::string text = requested_text(arguments); !text.empty()) return {std::nullopt, std::move(text)};
  const CommandRow& row = take_command(arguments);
  RawOptions raw;
  const auto app = option_parser(row, raw);
  arguments = checked_arguments(row, *app, std::move(arguments));
  try {
    // CLI11 takes the vector from its end
    app->parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    return {std::nullopt, command_help(row)};
  } catch (const CLI::ParseError& error) {
    throw UsageError(error.what());
  }
  check_positionals(row, raw);
  return {convert_options(row.command, raw), {}};
}

}  // namespace gguf_fuse::cli
