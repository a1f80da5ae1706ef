// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "commands.hpp"
#include "json_output.hpp"
#include "print.hpp"
#include "progress.hpp"
#include "signals.hpp"

namespace gguf_fuse::cli {
namespace {

Json verify_json(const Options& options, const VerifyReport& report) {
  return {{"command", "verify"},
          {"fused", options.request.input},
          {"original", options.original},
          {"equal", true},
          {"tensors", report.tensors},
          {"fused_tensors", report.fused_tensors},
          {"fused_in_original", report.fused_in_original},
          {"bytes", report.bytes},
          {"seconds", report.seconds}};
}

std::string hash_line(const std::string& path, const TensorHash& hash) {
  return fmt::format("{:<8}  {:016x}  {}:{}\n", "xxh64", hash.xxh64, escape_text(path), escape_text(hash.name));
}

Json hashes_json(const std::string& path, const std::vector<TensorHash>& hashes) {
  Json tensors = Json::array();
  for (const TensorHash& hash : hashes) {
    tensors.push_back({{"name", hash.name}, {"bytes", hash.bytes}, {"xxh64", fmt::format("{:016x}", hash.xxh64)}});
  }
  return {{"command", "hash"}, {"path", path}, {"tensors", std::move(tensors)}};
}

std::string fused_where(const Options& options, const VerifyReport& report) {
  if (report.fused_tensors == 0 && report.fused_in_original == 0) return "none fused";
  if (report.fused_in_original == 0) return fmt::format("{} fused", report.fused_tensors);
  const std::string other =
      fmt::format("{} fused in {}, given second", report.fused_in_original, escape_text(options.original));
  return report.fused_tensors == 0 ? other : fmt::format("{} fused in the first, {}", report.fused_tensors, other);
}

}  // namespace

Result<void> verify_command(const Options& options) {
  static Control control;  // signal handlers keep a pointer to it
  wait_for_input(options.request.input);
  wait_for_input(options.original);
  cancel_on_signals(control);
  PipelineOptions pipeline = options.request.pipeline;
  pipeline.control = &control;
  const auto report = [&] {
    const Progress progress(control, {"verify"}, options.shows_progress());
    return verify(options.request.input, options.original, options.request.mode, pipeline);
  }();
  if (!report) return fail(report.error());
  if (options.json) {
    put_json(stdout, verify_json(options, *report));
  } else if (!options.quiet) {
    put(stdout,
        fmt::format("{} all {} of {} are in {} unchanged ({}; {} in {})\n", coloured(stdout, Colour::Green, "equal:"),
                    plural(report->tensors, "tensor"), escape_text(options.original),
                    escape_text(options.request.input), fused_where(options, *report), format_bytes(report->bytes),
                    format_seconds(report->seconds)));
  }
  return {};
}

Result<void> hash_command(const Options& options) {
  static Control control;
  const std::string& path = options.request.input;
  GGUF_FUSE_ASSIGN(Model model, open_model(path, {.mode = options.request.mode, .limits = {}}));
  cancel_on_signals(control);
  PipelineOptions pipeline = options.request.pipeline;
  pipeline.control = &control;
  auto hashes = [&] {
    const Progress progress(control, {"hash"}, options.shows_progress());
    return hash_tensors(model, pipeline);
  }();
  if (!hashes) return fail(std::move(hashes).error());
  if (options.json) {
    put_json(stdout, hashes_json(path, *hashes));
    return {};
  }
  for (const TensorHash& hash : *hashes) put(stdout, hash_line(path, hash));
  return {};
}

}  // namespace gguf_fuse::cli
