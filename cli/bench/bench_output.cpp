// SPDX-License-Identifier: MIT
#include "bench_output.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "gguf_fuse/loader/version.hpp"
#include "json_output.hpp"
#include "print.hpp"
#include "values.hpp"

namespace gguf_fuse::cli {
namespace {

std::string model_type(const ModelDescription& model) {
  return fmt::format("{} {}", model.architecture, model.quantisation);
}

/// 93.52 MiB, as llama-bench writes sizes.
std::string binary_size(std::uint64_t bytes) {
  const double mib = static_cast<double>(bytes) / (1 << 20);
  return mib < 1024 ? fmt::format("{:.2f} MiB", mib) : fmt::format("{:.2f} GiB", mib / 1024);
}

std::string parameter_count(std::uint64_t count) {
  const double millions = static_cast<double>(count) / 1e6;
  return millions < 1000 ? fmt::format("{:.2f} M", millions) : fmt::format("{:.2f} B", millions / 1000);
}

/// 12.34 ± 0.05; of one value only itself, of none a dash.
std::string plus_minus(const std::vector<double>& values, std::string_view unit) {
  if (values.empty()) return "-";
  const Spread spread = spread_of(values);
  const std::string mean = fmt::format("{:.2f}{}", spread.mean, unit);
  return values.size() == 1 ? mean : fmt::format("{} ± {:.2f}", mean, spread.deviation);
}

/// What loading the weights took, or null for each: CSV has the same columns for all results.
void add_load(Json& json, const BenchResult& result) {
  const LoadReport load = result.start ? result.start->load : LoadReport{};
  const auto put_key = [&](const char* key, Json value) {
    json[key] = result.start ? std::move(value) : Json(nullptr);
  };
  put_key("read_bytes", load.bytes);
  put_key("weights_seconds", load.seconds);
  put_key("read_seconds", load.read);
  put_key("repack_seconds", load.repack);
  put_key("upload_seconds", load.upload);
  put_key("bottleneck", bottleneck(load).empty() ? Json(nullptr) : Json(bottleneck(load)));
  put_key("load_mode", load_mode_name(load.mode));
}

/// Seconds and tokens a second of several texts, under llama-batched-bench's names: means of the repetitions.
void add_sequences(Json& json, const BenchResult& result) {
  const auto mean = [](const std::vector<double>& values) {
    return values.empty() ? Json(nullptr) : Json(spread_of(values).mean);
  };
  const BenchTest& test = result.test;
  json["is_pp_shared"] = test.shared;
  json["pp"] = test.prompt;
  json["tg"] = test.generate;
  json["pl"] = test.sequences;
  json["n_kv"] = test.tokens();
  json["t_pp"] = mean(result.prompt_seconds);
  json["speed_pp"] = mean(result.prompt_rates());
  json["t_tg"] = mean(result.generation_seconds());
  json["speed_tg"] = mean(result.generation_rates());
  json["t"] = mean(result.seconds);
  json["speed"] = mean(result.rates());
}

Json result_json(const BenchResult& result) {
  std::vector<std::uint64_t> nanoseconds;
  for (const double seconds : result.seconds) nanoseconds.push_back(static_cast<std::uint64_t>(seconds * 1e9));
  const std::vector<double> rates = result.load.empty() ? result.rates() : std::vector<double>();
  const Spread time = spread_of(result.seconds), rate = spread_of(rates);
  const bool load = !result.load.empty();
  const std::string overrides = overrides_text(result.engine);
  Json json{{"build_commit", "gguf-fuse " + std::string(version)},
            {"backends", "OpenCL"},
            {"gpu_info", result.devices},
            {"model_filename", result.engine.model},
            {"model_type", model_type(result.description)},
            {"model_size", result.description.bytes},
            {"model_n_params", result.description.parameters},
            {"n_batch", result.batch},
            {"n_ubatch", result.session.micro_batch},
            {"type_k", cache_type_name(result.session.cache_k)},
            {"type_v", cache_type_name(result.session.cache_v)},
            {"activations", activations_name(result.activations)},
            {"fuse", fuse_word(result.engine)},
            {"merge_up_gate_experts", merges_gate_up(result.engine)},
            {"merge_qkv", merges_qkv(result.engine)},
            {"n_threads", result.engine.loading.threads},
            {"n_gpu_layers", result.engine.gpu_layers ? Json(*result.engine.gpu_layers) : Json(-1)},
            {"n_cpu_moe", cpu_moe_layers(result.engine)},
            {"tensor_buft_overrides", overrides.empty() ? "none" : overrides},
            {"devices", result.engine.devices.empty() ? "auto" : result.engine.devices},
            {"tensor_split", result.split_text()},
            {"test", result.test_name()},
            {"n_prompt", load ? 0 : result.test.prompt},
            {"n_gen", load ? 0 : result.test.generate},
            {"n_depth", load ? 0 : result.test.depth},
            {"test_time", result.time},
            {"avg_ns", static_cast<std::uint64_t>(time.mean * 1e9)},
            {"stddev_ns", static_cast<std::uint64_t>(time.deviation * 1e9)},
            {"avg_ts", rates.empty() ? Json(nullptr) : Json(rate.mean)},
            {"stddev_ts", rates.empty() ? Json(nullptr) : Json(rate.deviation)},
            {"samples_ns", nanoseconds},
            {"samples_ts", rates}};
  if (result.test.sequences > 0) {
    add_sequences(json, result);
  } else {
    add_load(json, result);
  }
  return json;
}

/// A JSON value as a field of CSV.
std::string csv_field(const Json& value) {
  std::string text = value.is_string() ? value.get<std::string>() : value.is_null() ? "" : value.dump();
  std::string out = "\"";
  for (const char byte : text) out += byte == '"' ? std::string("\"\"") : std::string(1, byte);
  return out + "\"";
}

/// A column that is shown where some result differs from the default.
struct SettingColumn {
  std::string_view title;
  std::string usual;
  std::string (*text)(const BenchResult&);
};

const std::vector<SettingColumn>& setting_columns() {
  static const std::vector<SettingColumn> kColumns{
      {"n_batch", "2048", [](const BenchResult& result) { return std::to_string(result.batch); }},
      {"n_ubatch", "512", [](const BenchResult& result) { return std::to_string(result.session.micro_batch); }},
      {"type_k", "f16", [](const BenchResult& result) { return std::string(cache_type_name(result.session.cache_k)); }},
      {"type_v", "f16", [](const BenchResult& result) { return std::string(cache_type_name(result.session.cache_v)); }},
      {"activations", "q8",
       [](const BenchResult& result) { return std::string(activations_name(result.activations)); }},
      {"muge", "1", [](const BenchResult& result) { return std::string(merges_gate_up(result.engine) ? "1" : "0"); }},
      {"mqkv", "1", [](const BenchResult& result) { return std::string(merges_qkv(result.engine) ? "1" : "0"); }},
      {"threads", "0", [](const BenchResult& result) { return std::to_string(result.engine.loading.threads); }},
      {"ngl", "all", [](const BenchResult& result) { return gpu_layers_text(result.engine); }},
      {"n_cpu_moe", "0", [](const BenchResult& result) { return std::to_string(cpu_moe_layers(result.engine)); }},
      {"ot", "", [](const BenchResult& result) { return overrides_text(result.engine); }},
      {"dev", "", [](const BenchResult& result) { return result.engine.devices; }},
      {"ts", "", [](const BenchResult& result) { return result.split_text(); }},
  };
  return kColumns;
}

/// The columns of llama-batched-bench.
std::string sequences_markdown(const std::vector<SettingColumn>& settings, const std::vector<BenchResult>& results) {
  std::vector<Table::Column> columns{{"model"}};
  for (const SettingColumn& column : settings) columns.push_back({std::string(column.title), Align::Right});
  for (const char* title : {"PP", "TG", "B", "N_KV", "T_PP s", "S_PP t/s", "T_TG s", "S_TG t/s", "T s", "S t/s"}) {
    columns.push_back({title, Align::Right});
  }
  Table table(columns);
  for (const BenchResult& result : results) {
    const BenchTest& test = result.test;
    std::vector<std::string> cells{model_type(result.description)};
    for (const SettingColumn& column : settings) cells.push_back(column.text(result));
    for (const std::uint64_t count :
         {std::uint64_t{test.prompt}, std::uint64_t{test.generate}, std::uint64_t{test.sequences}, test.tokens()}) {
      cells.push_back(std::to_string(count));
    }
    const auto add = [&cells](const std::vector<double>& seconds, const std::vector<double>& rates) {
      cells.push_back(fmt::format("{:.3f}", spread_of(seconds).mean));
      cells.push_back(plus_minus(rates, ""));
    };
    add(result.prompt_seconds, result.prompt_rates());
    add(result.generation_seconds(), result.generation_rates());
    add(result.seconds, result.rates());
    table.add(std::move(cells));
  }
  return table.render_markdown(true);
}

}  // namespace

Spread spread_of(const std::vector<double>& values) {
  if (values.empty()) return {};
  Spread spread;
  for (const double value : values) spread.mean += value / static_cast<double>(values.size());
  double squares = 0;
  for (const double value : values) squares += (value - spread.mean) * (value - spread.mean);
  if (values.size() > 1) spread.deviation = std::sqrt(squares / static_cast<double>(values.size() - 1));
  return spread;
}

std::string BenchOutput::markdown() const {
  std::vector<SettingColumn> shown;
  for (const SettingColumn& column : setting_columns()) {
    const bool differs = std::any_of(results_.begin(), results_.end(),
                                     [&](const BenchResult& result) { return column.text(result) != column.usual; });
    if (differs) shown.push_back(column);
  }
  if (!results_.empty() && results_.front().test.sequences > 0) return sequences_markdown(shown, results_);
  std::vector<Table::Column> columns{{"model"}, {"size", Align::Right}, {"params", Align::Right}, {"backend"}};
  for (const SettingColumn& column : shown) columns.push_back({std::string(column.title), Align::Right});
  columns.push_back({"test", Align::Right});
  columns.push_back({"t/s", Align::Right});
  Table table(columns);
  for (const BenchResult& result : results_) {
    std::vector<std::string> cells{model_type(result.description), binary_size(result.description.bytes),
                                   parameter_count(result.description.parameters), "OpenCL"};
    for (const SettingColumn& column : shown) cells.push_back(column.text(result));
    cells.push_back(result.test_name());
    cells.push_back(result.load.empty() ? plus_minus(result.rates(), "") : plus_minus(result.seconds, " s"));
    table.add(std::move(cells));
  }
  return table.render_markdown(true);
}

void BenchOutput::add(const BenchResult& result) {
  if (options_.format == BenchFormat::JsonLines) {
    put_json(stdout, result_json(result));
    static_cast<void>(finish_output());
    return;
  }
  results_.push_back(result);
  // a table is printed when its widths are known; who waits in front of a terminal sees that it goes on
  if (terminal_width(stderr) > 0) {
    put(stderr, fmt::format("{}: {}\n", escape_text(result.engine.model), result.test_name()));
  }
}

void BenchOutput::finish(const Failure* failure) {
  if (options_.format == BenchFormat::JsonArray) {
    Json all = Json::array();
    for (const BenchResult& result : results_) all.push_back(result_json(result));
    if (failure != nullptr) all.push_back(failure_json(*failure));
    return put_json(stdout, all);
  }
  if (results_.empty()) return;
  if (options_.format == BenchFormat::Markdown) {
    put(stdout, markdown());
    for (const BenchResult& result : results_) {
      if (result.start) put(stdout, fmt::format("\n{}: {}", result.test_name(), load_text(*result.start)));
    }
    std::vector<std::string> devices;
    for (const BenchResult& result : results_) {
      if (std::find(devices.begin(), devices.end(), result.devices) == devices.end()) devices.push_back(result.devices);
    }
    put(stdout, fmt::format("\nOpenCL: {}\nbuild: gguf-fuse {}\n", fmt::join(devices, "; "), version));
    return;
  }
  if (options_.format == BenchFormat::Csv) {
    std::string out;
    for (const BenchResult& result : results_) {
      const Json json = result_json(result);
      std::vector<std::string> names, fields;
      for (const auto& [name, value] : json.items()) {
        if (value.is_array()) continue;
        names.push_back(name);
        fields.push_back(csv_field(value));
      }
      if (out.empty()) out = fmt::format("{}\n", fmt::join(names, ","));
      out += fmt::format("{}\n", fmt::join(fields, ","));
    }
    put(stdout, out);
  }
}

}  // namespace gguf_fuse::cli
