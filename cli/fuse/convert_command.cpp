// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "commands.hpp"
#include "decision_groups.hpp"
#include "json_output.hpp"
#include "outlook.hpp"
#include "print.hpp"
#include "progress.hpp"
#include "signals.hpp"

namespace gguf_fuse::cli {
namespace {

/// What the report does not hold, from a second look at a header.
struct Background {
  std::uint64_t tensors_before = 0;
  std::optional<Outlook> outlook;
};

Background look_again(const Options& options, const ConvertReport& report) {
  const ConvertRequest& request = options.request;
  const bool unfuse = request.direction == Direction::Unfuse;
  Background background;
  const std::uint64_t after = planned_tensors(report.plan);
  background.tensors_before = unfuse ? after - merged_tensors(report.plan) : after + merged_tensors(report.plan);
  // a pipe is gone; what it became plans alike, because a fused file is planned from its original tensors
  const bool from_output = request.input == "-" && request.output != "-" && !request.dry_run && !report.outputs.empty();
  if (request.input == "-" && !from_output) return background;
  const auto model = open_model(from_output ? report.outputs.front() : request.input);
  if (!model) return background;
  if (!from_output) background.tensors_before = model->info.tensor_count();
  if (!unfuse) background.outlook = look_ahead(report.plan, model->info, request.fuse);
  return background;
}

std::string written_text(const Options& options, const ConvertReport& report) {
  const ConvertRequest& request = options.request;
  const std::string name = request.output == "-" ? "standard output" : escape_text(report.outputs.front());
  const std::string files = report.outputs.size() > 1 ? fmt::format(" and {} more", report.outputs.size() - 1) : "";
  if (request.dry_run)
    return fmt::format("nothing (dry run); it would be {}{}, {}", name, files, format_bytes(report.output_bytes));
  const double seconds = report.copy_seconds + report.commit_seconds;
  std::string text =
      fmt::format("{}{}, {} in {}", name, files, format_bytes(report.output_bytes), format_seconds(seconds));
  const std::string rate = format_rate(report.output_bytes, seconds);
  return rate.empty() ? text : fmt::format("{} ({})", text, rate);
}

std::string changed_text(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 4;
  const std::size_t shown = std::min(names.size(), kShown);
  std::string text;
  for (std::size_t i = 0; i < shown; ++i) text += (i == 0 ? "" : ", ") + escape_text(names[i]);
  return shown == names.size() ? text : fmt::format("{} and {} more", text, names.size() - shown);
}

std::string_view restored_word(Restores restored) {
  return restored == Restores::Original ? "original" : restored == Restores::Recorded ? "recorded" : "weights";
}

std::string restored_text(const ConvertReport& report, bool dry_run) {
  if (report.restored == Restores::Weights) return "the same weights; no record tells what else the original held";
  if (report.restored != Restores::Original)
    return "as the record says, not proven to be the original: " + texts_of(report.unproven);
  return dry_run ? "the original file, if its tensors still have the hashes in the record"
                 : "the original file, byte for byte";
}

std::string verified_text(const Options& options, const ConvertReport& report) {
  if (report.verified) return fmt::format("every byte, in {}", format_seconds(report.verify_seconds));
  if (!options.request.verify) return "no (--no-verify); gguf-fuse verify can do it later";
  return "no: what went into a pipe cannot be read back";
}

std::string fused_line(const Options& options, const ConvertReport& report) {
  const std::string_view target = target_name(options.request.fuse.target);
  if (report.plan.fused_count() > 0 && report.plan.fused_count() == report.plan.fused_before) {
    return fmt::format("{} for {}, as the input has it already: nothing changes", fused_text(report.plan), target);
  }
  if (const std::string fused = fused_text(report.plan); !fused.empty()) return fmt::format("{} for {}", fused, target);
  const std::string reason = main_reason(report.plan);
  if (reason.empty())
    return fmt::format("nothing for {}: the model has no tensors to fuse; it is copied as it is", target);
  return fmt::format("nothing for {}, the model is copied as it is; {}", target, reason);
}

void add_fuse_lines(Table& table, const ConvertReport& report, const Background& background) {
  if (!background.outlook) return;
  const std::string engines = engines_text(*background.outlook);
  if (report.plan.fused_count() > 0 && !engines.empty()) table.add({"loads in", engines});
  for (const Alternative& other : background.outlook->alternatives) {
    table.add({"hint", alternative_text(other, report.plan.fused_count() > 0)});
  }
  if (report.plan.fused_count() == 0) table.add({"hint", "gguf-fuse plan --explain says why, layer by layer"});
}

std::string summary(const Options& options, const ConvertReport& report, const Background& background,
                    std::FILE* stream) {
  const bool unfuse = options.request.direction == Direction::Unfuse;
  Table table({{""}, {""}});
  if (unfuse) {
    table.add({"unfused", fused_text(report.plan)});
  } else {
    table.add({"fused", fused_line(options, report)});
  }
  table.add({"tensors", fmt::format("{} -> {}", background.tensors_before, planned_tensors(report.plan))});
  if (unfuse) {
    table.add({"result", restored_text(report, options.request.dry_run)});
    if (!report.changed_tensors.empty()) table.add({"changed", changed_text(report.changed_tensors)});
  }
  table.add({"written", written_text(options, report)});
  if (!options.request.dry_run) table.add({"verified", verified_text(options, report)});
  if (!unfuse) add_fuse_lines(table, report, background);
  return table.render(terminal_width(stream));
}

Json convert_json(const Options& options, const ConvertReport& report, const Background& background) {
  const ConvertRequest& request = options.request;
  const bool unfuse = request.direction == Direction::Unfuse;
  Json json{{"command", unfuse ? "unfuse" : "convert"},
            {"input", request.input},
            {"outputs", report.outputs},
            {"architecture", report.architecture},
            {"dry_run", request.dry_run},
            {"verified", report.verified},
            {"fused", report.plan.fused_count()},
            {"tensors", {{"before", background.tensors_before}, {"after", planned_tensors(report.plan)}}},
            {"bytes", {{"input", report.input_bytes}, {"output", report.output_bytes}}},
            {"seconds",
             {{"copy", report.copy_seconds}, {"verify", report.verify_seconds}, {"commit", report.commit_seconds}}}};
  if (unfuse) {
    json["exact"] = report.restored == Restores::Original && !request.dry_run;
    json["restores"] = restored_word(report.restored);
    json["reason"] = texts_of(report.unproven);
    json["changed_tensors"] = report.changed_tensors;
  } else {
    json["target"] = target_name(request.fuse.target);
    add_outlook(json, background.outlook.value_or(Outlook{}));
  }
  json["decisions"] = decisions_json(report.plan);
  json["warnings"] = reasons_json(report.warnings);
  json["removed_temporaries"] = report.removed_temporaries;
  return json;
}

void print_notes(const ConvertReport& report) {
  for (const Reason& warning : report.warnings) print_warning(warning.text());
  for (const std::string& name : report.removed_temporaries) {
    put(stderr, fmt::format("removed {}, left by a run that was killed\n", escape_text(name)));
  }
}

}  // namespace

Result<void> convert_command(const Options& options) {
  static Control control;  // signal handlers keep a pointer to it
  wait_for_input(options.request.input);
  cancel_on_signals(control);
  ConvertRequest request = options.request;
  request.pipeline.control = &control;
  const auto report = [&] {
    const Progress progress(control, {"copy", "verify"}, options.shows_progress());
    return convert(request);
  }();
  if (!report) return fail(report.error());
  // standard output belongs to the data when the output is `-`
  std::FILE* stream = request.output == "-" ? stderr : stdout;
  if (options.json) {
    put_json(stream, convert_json(options, *report, look_again(options, *report)));
    return {};
  }
  print_notes(*report);
  if (!options.quiet) put(stream, summary(options, *report, look_again(options, *report), stream));
  return {};
}

}  // namespace gguf_fuse::cli
