// SPDX-License-Identifier: MIT
#include "run_report.hpp"

#include <fmt/format.h>

#include "bandwidth.hpp"
#include "print.hpp"

namespace gguf_fuse::cli {
namespace {

double per_second(std::uint64_t count, double seconds) {
  return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

/// Bytes of weights read a second while generating.
double weights_per_second(const Engine& engine, const RunTotals& totals) {
  return per_second(totals.tokens, totals.seconds) * static_cast<double>(engine.model->description().bytes_per_token);
}

std::string rate_text(std::uint64_t tokens, double seconds) {
  std::string text = plural(tokens, "token");
  if (tokens > 0 && seconds > 0)
    text += fmt::format(" in {}: {:.4g} tokens/s", format_seconds(seconds), per_second(tokens, seconds));
  return text;
}

std::string sampling_text(const SamplerOptions& sampler) {
  if (sampler.temperature <= 0) return "always the most likely token (--temp 0)";
  return fmt::format("seed {}, top-k {}, top-p {}, min-p {}, temperature {}", sampler.seed, sampler.top_k,
                     sampler.top_p, sampler.min_p, sampler.temperature);
}

/// "gate+up of 30 layers of experts, Q+K+V of 30 layers (while loading)"; nothing when nothing is fused.
std::string fused_text(const ModelDescription::Fused& fused) {
  const auto layers = [](std::uint32_t count) { return plural(count, "layer"); };
  std::vector<std::string> parts;
  if (fused.experts > 0) parts.push_back(fmt::format("gate+up of {} of experts", layers(fused.experts)));
  if (fused.dense > 0) parts.push_back(fmt::format("gate+up of {}", layers(fused.dense)));
  if (fused.qkv > 0) parts.push_back(fmt::format("Q+K+V of {}", layers(fused.qkv)));
  if (parts.empty()) return {};
  const std::uint32_t all = fused.experts + fused.dense + fused.qkv;
  std::string_view when = " (in the file)";
  if (fused.while_loading > 0) when = fused.while_loading == all ? " (while loading)" : " (some while loading)";
  return fmt::format("{}{}", fmt::join(parts, ", "), when);
}

Json fused_json(const ModelDescription::Fused& fused) {
  return {
      {"experts", fused.experts}, {"dense", fused.dense}, {"qkv", fused.qkv}, {"while_loading", fused.while_loading}};
}

}  // namespace

void RunTotals::add(const Generation& generation) {
  prompt_tokens += generation.prompt_tokens;
  prompt_seconds += generation.prompt_seconds;
  tokens += generation.tokens.size();
  seconds += generation.seconds;
}

double measured_bandwidth(const Engine& engine, const RunTotals& totals) {
  if (engine.model->devices().size() != 1 || totals.tokens == 0) return 0;
  return read_bandwidth(*engine.model->devices().front()).value_or(0);
}

std::string report_text(const RunOptions& options, const Engine& engine, const RunTotals& totals, std::size_t width) {
  const ModelDescription& model = engine.model->description();
  Table table({{""}, {""}});
  table.add({"model", fmt::format("{} {}, {:.4g} M parameters, {} of weights", model.architecture, model.quantisation,
                                  static_cast<double>(model.parameters) / 1e6, format_bytes(model.bytes))});
  table.add({"device", devices_text(*engine.model)});
  table.add({"start", start_text(engine.report)});
  table.add({"load", load_text(engine.report)});
  if (const std::string fused = fused_text(model.fused); !fused.empty()) table.add({"fused", fused});
  table.add({"prompt", rate_text(totals.prompt_tokens, totals.prompt_seconds)});
  table.add({"generation", rate_text(totals.tokens, totals.seconds)});
  if (totals.tokens > 0 && totals.seconds > 0) {
    const double rate = weights_per_second(engine, totals);
    std::string text = fmt::format("{}/s of weights", format_bytes(static_cast<std::uint64_t>(rate)));
    if (totals.bandwidth > 0) {
      text += fmt::format(", {:.0f} % of the {}/s that this device can read", 100 * rate / totals.bandwidth,
                          format_bytes(static_cast<std::uint64_t>(totals.bandwidth)));
    }
    table.add({"memory", text});
  }
  table.add({"context", fmt::format("{} of {} tokens, {} of KV cache", engine.session->size(),
                                    engine.session->capacity(), format_bytes(engine.session->cache_bytes()))});
  table.add({"sampling", sampling_text(options.sampler)});
  return table.render(width);
}

Json timings_json(const Engine& engine, const RunTotals& totals) {
  const StartReport& report = engine.report;
  Json load{
      {"seconds", report.total},
      {"header_seconds", report.load.header},
      {"weights_seconds", report.load.seconds},
      {"read_seconds", report.load.read},
      {"repack_seconds", report.load.repack},
      {"upload_seconds", report.load.upload},
      {"bottleneck", bottleneck(report.load)},
      {"load_mode", load_mode_name(report.load.mode)},
      {"upload_strategy", report.load.strategy ? Json(upload_strategy_name(*report.load.strategy)) : Json(nullptr)},
      {"staging_bytes", report.load.staging_bytes},
      {"read_bytes", report.load.bytes},
      {"device_bytes", report.load.device_bytes},
      {"programs", report.build.programs},
      {"programs_cached", report.build.cached},
      {"programs_seconds", report.build.seconds},
      {"warm_up_seconds", report.warm_up ? Json(*report.warm_up) : Json(nullptr)}};
  return {{"load", std::move(load)},
          {"fused", fused_json(engine.model->description().fused)},
          {"notes", engine.model->description().notes},
          {"prompt_tokens", totals.prompt_tokens},
          {"prompt_seconds", totals.prompt_seconds},
          {"prompt_tokens_per_second", per_second(totals.prompt_tokens, totals.prompt_seconds)},
          {"generated_tokens", totals.tokens},
          {"generation_seconds", totals.seconds},
          {"generated_tokens_per_second", per_second(totals.tokens, totals.seconds)},
          {"weight_bytes_per_second", weights_per_second(engine, totals)},
          {"device_read_bytes_per_second", totals.bandwidth > 0 ? Json(totals.bandwidth) : Json(nullptr)}};
}

}  // namespace gguf_fuse::cli
