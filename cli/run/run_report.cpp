// SPDX-License-Identifier: MIT
#include "run_report.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "bandwidth.hpp"
#include "print.hpp"
#include "values.hpp"

namespace gguf_fuse::cli {
namespace {

/// Bytes of weights read a second while generating.
std::optional<double> weights_per_second(const Engine& engine, const RunTotals& totals) {
  const std::uint64_t bytes = totals.evaluated * engine.model->description().bytes_per_token;
  return per_second(static_cast<double>(bytes), totals.seconds);
}

/// `tokens` are told, `evaluated` were measured.
std::string rate_text(std::uint64_t tokens, std::uint64_t evaluated, double seconds) {
  std::string text = plural(tokens, "token");
  if (const auto rate = per_second(static_cast<double>(evaluated), seconds))
    text += fmt::format(" in {}: {:.4g} tokens/s", format_seconds(seconds), *rate);
  return text;
}

/// Bytes a second. A failure is no more than a missing number.
std::optional<double> device_bandwidth(const Engine& engine) {
  if (engine.model->devices().size() != 1) return std::nullopt;
  Device& device = *engine.model->devices().front();
  const auto found = read_bandwidth(device, engine.model->weight_buffers(device));
  return found && *found > 0 ? std::optional(*found) : std::nullopt;
}

/// Empty when nothing was generated that could be measured.
std::string memory_text(const Engine& engine, const RunTotals& totals) {
  const std::optional<double> rate = weights_per_second(engine, totals);
  if (!rate) return {};
  std::string text = fmt::format("{}/s of weights", format_bytes(static_cast<std::uint64_t>(*rate)));
  const std::optional<double> limit = device_bandwidth(engine);
  // more than all of it says that the measurement was disturbed
  if (!limit || *rate > *limit) return text;
  return text + fmt::format(", {:.0f} % of the {}/s at which this device reads them", 100 * *rate / *limit,
                            format_bytes(static_cast<std::uint64_t>(*limit)));
}

Json rate_json(std::optional<double> rate) { return rate ? Json(*rate) : Json(nullptr); }

std::string sampling_text(const SamplerOptions& sampler) {
  if (sampler.temperature <= 0) return "always the most likely token (--temp 0)";
  return fmt::format("seed {}, top-k {}, top-p {}, min-p {}, temperature {}", sampler.seed, sampler.top_k,
                     sampler.top_p, sampler.min_p, sampler.temperature);
}

/// Kinds of fused tensors (Rule::kind), each once, in the order of the rules.
std::vector<std::string_view> kinds() {
  std::vector<std::string_view> names;
  for (const Rule& rule : rules()) {
    const bool known = std::find(names.begin(), names.end(), rule.kind) != names.end();
    if (!rule.kind.empty() && !known) names.push_back(rule.kind);
  }
  return names;
}

std::string kind_text(std::string_view kind, const std::string& layers) {
  if (kind == "experts") return fmt::format("gate+up of {} of experts", layers);
  if (kind == "dense") return fmt::format("gate+up of {}", layers);
  if (kind == "qkv") return fmt::format("Q+K+V of {}", layers);
  return fmt::format("{} of {}", kind, layers);
}

/// "gate+up of 30 layers of experts, Q+K+V of 30 layers (while loading)"; nothing when nothing is fused.
std::string fused_text(const ModelDescription::Fused& fused) {
  std::vector<std::string> parts;
  std::uint32_t all = 0;
  for (const std::string_view kind : kinds()) {
    if (fused.of(kind) == 0) continue;
    parts.push_back(kind_text(kind, plural(fused.of(kind), "layer")));
    all += fused.of(kind);
  }
  if (parts.empty()) return {};
  std::string_view when = " (in the file)";
  if (fused.while_loading > 0) when = fused.while_loading == all ? " (while loading)" : " (some while loading)";
  return fmt::format("{}{}", fmt::join(parts, ", "), when);
}

/// "prompts and answers in 3.2 s: 160 tokens/s generated; the first 70 tokens of all prompts evaluated once"
std::string many_text(const GenerateManyReport& many) {
  std::string text = fmt::format("prompts and answers in {}", format_seconds(many.seconds));
  if (const auto rate = per_second(static_cast<double>(many.tokens), many.seconds)) {
    text += fmt::format(": {:.4g} tokens/s generated", *rate);
  }
  if (many.shared_tokens > 0) {
    text += fmt::format("; the first {} of all prompts evaluated once", plural(many.shared_tokens, "token"));
  }
  if (many.restarts > 0) {
    text += fmt::format("; {} computed again, as the context was full: a larger -c avoids that",
                        plural(many.restarts, "answer"));
  }
  return text;
}

Json fused_json(const ModelDescription::Fused& fused) {
  Json json;
  for (const std::string_view kind : kinds()) json[std::string(kind)] = fused.of(kind);
  json["while_loading"] = fused.while_loading;
  return json;
}

}  // namespace

void RunTotals::add(const Generation& generation) {
  prompt_tokens += generation.prompt_tokens;
  prompt_seconds += generation.prompt_seconds;
  tokens += generation.tokens.size();
  evaluated += generation.tokens.empty() ? 0 : generation.tokens.size() - 1;
  seconds += generation.seconds;
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
  table.add({"prompt", rate_text(totals.prompt_tokens, totals.prompt_tokens, totals.prompt_seconds)});
  table.add({"generation", rate_text(totals.tokens, totals.evaluated, totals.seconds)});
  if (totals.many) table.add({"together", many_text(*totals.many)});
  if (const std::string memory = memory_text(engine, totals); !memory.empty()) table.add({"memory", memory});
  const std::string used = totals.many ? "" : fmt::format("{} of ", engine.session->size());
  table.add({"context", fmt::format("{}{} tokens, {} of KV cache", used, engine.session->capacity(),
                                    format_bytes(engine.session->cache_bytes()))});
  table.add({"sampling", sampling_text(options.sampler)});
  return table.render(width);
}

Json timings_json(const Engine& engine, const RunTotals& totals) {
  const StartReport& report = engine.report;
  const std::string_view limit = bottleneck(report.load);
  Json load{
      {"seconds", report.total},
      {"header_seconds", report.load.header},
      {"weights_seconds", report.load.seconds},
      {"read_seconds", report.load.read},
      {"repack_seconds", report.load.repack},
      {"upload_seconds", report.load.upload},
      {"bottleneck", limit.empty() ? Json(nullptr) : Json(limit)},
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
          {"prompt_tokens_per_second",
           rate_json(per_second(static_cast<double>(totals.prompt_tokens), totals.prompt_seconds))},
          {"generated_tokens", totals.tokens},
          {"generation_seconds", totals.seconds},
          {"generated_tokens_per_second", rate_json(per_second(static_cast<double>(totals.evaluated), totals.seconds))},
          {"weight_bytes_per_second", rate_json(weights_per_second(engine, totals))}};
}

}  // namespace gguf_fuse::cli
