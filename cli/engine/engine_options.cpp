// SPDX-License-Identifier: MIT
#include "engine_options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "values.hpp"

namespace gguf_fuse::cli {
namespace {

const std::vector<std::string> kActivations{"q8", "f32"};  // in the order of Activations

// llama.cpp's pattern, which knows fused experts.
constexpr const char* kExperts = R"(\.ffn_(up|down|gate|gate_up)_(ch|)exps)";

constexpr std::string_view kLayer = R"(^blk\.)";

/// One of those that -ncmoe stands for.
bool is_of_first_layers(const OverrideText& text) { return text.option == OverrideOption::CpuMoeLayers; }

/// PATTERN=DEVICE, several of them separated by commas.
void parse_overrides(std::string_view option, std::string_view text, std::vector<OverrideText>& out) {
  while (!text.empty()) {
    const std::string_view one = text.substr(0, text.find(','));
    const std::size_t equals = one.rfind('=');
    if (equals == std::string_view::npos || equals == 0 || equals + 1 == one.size()) {
      throw UsageError(fmt::format("{}: \"{}\" is not PATTERN=DEVICE", option, escape_text(one)));
    }
    out.push_back({std::string(one.substr(0, equals)), std::string(one.substr(equals + 1))});
    text.remove_prefix(std::min(text.size(), one.size() + 1));
  }
}

constexpr std::string_view kAuto = "auto";

/// A choice among `values` by their names, or "auto", which is nothing.
template <typename T, typename Name>
OptionRow& optional_choice(OptionTable& table, std::vector<std::string> names, std::string word, std::string help,
                           std::vector<T> values, Name name_of, std::optional<T>& target) {
  std::vector<std::string> words{std::string(kAuto)};
  for (const T value : values) words.emplace_back(name_of(value));
  return table.choice(std::move(names), std::move(word), std::move(help), std::move(words),
                      [values = std::move(values), &target](std::size_t index) {
                        target = index == 0 ? std::nullopt : std::optional(values[index - 1]);
                      });
}

}  // namespace

bool looks_like_model(const std::string& word) {
  std::error_code ignored;
  return word.ends_with(".gguf") || word.ends_with(".gguf.gz") || std::filesystem::is_regular_file(word, ignored);
}

void take_model(EngineOptions& options, std::vector<std::string>& words) {
  if (!options.model.empty() || words.empty() || !looks_like_model(words.front())) return;
  options.model = std::move(words.front());
  words.erase(words.begin());
}

std::optional<std::uint32_t> parse_gpu_layers(const std::string& option, const std::string& text) {
  if (text == "auto" || text == "all" || text == "-1" || text == "-2") return std::nullopt;
  constexpr std::int64_t kMostLayers = 1'000'000;
  return static_cast<std::uint32_t>(parse_integer(option, text, 0, kMostLayers));
}

CacheType parse_cache_type(std::string_view option, std::string_view text) {
  // ik_llama.cpp's others
  for (const std::string_view other : {"q6_0", "q8_KV", "q8_kv"}) {
    if (text != other) continue;
    throw UsageError(fmt::format("{} {}: gguf-fuse has no such cache; q8_0 is nearest", option, other));
  }
  return cache_types()[parse_choice(option, text, names_of(cache_types()))].type;
}

std::vector<double> parse_split(std::string_view option, std::string text) {
  std::replace(text.begin(), text.end(), '/', ',');
  std::vector<double> shares;
  constexpr double kLargest = 1e6;
  for (const std::string& part : parse_list(option, text)) shares.push_back(parse_decimal(option, part, 0, kLargest));
  if (std::all_of(shares.begin(), shares.end(), [](double share) { return share == 0; })) {
    throw UsageError(std::string(option) + ": at least one share must be larger than 0");
  }
  return shares;
}

Values cache_type_values() { return {.kind = Values::Kind::Words, .words = names_of(cache_types())}; }
Values device_values() { return {.kind = Values::Kind::Devices, .words = {"none"}}; }

std::string_view fuse_word(const EngineOptions& options) {
  if (!options.fuse) return "off";
  return options.tell_unfused ? "on" : "auto";
}

bool merges_gate_up(const EngineOptions& options) { return options.merge_gate_up.value_or(options.fuse); }
bool merges_qkv(const EngineOptions& options) { return options.merge_qkv.value_or(options.fuse); }

std::string gpu_layers_text(const EngineOptions& options) {
  return options.gpu_layers ? std::to_string(*options.gpu_layers) : "all";
}

std::string overrides_text(const EngineOptions& options) {
  std::vector<std::string> texts;
  for (const OverrideText& override : options.overrides) {
    if (!is_of_first_layers(override)) texts.push_back(fmt::format("{}={}", override.pattern, override.device));
  }
  return fmt::format("{}", fmt::join(texts, ";"));
}

std::size_t cpu_moe_layers(const EngineOptions& options) {
  return static_cast<std::size_t>(
      std::count_if(options.overrides.begin(), options.overrides.end(), is_of_first_layers));
}

std::string_view cache_type_name(CacheType type) { return cache_type_row(type).name; }
std::string_view activations_name(Activations activations) {
  return kActivations.at(static_cast<std::size_t>(activations));
}

void add_override_options(OptionTable& table, EngineOptions& options) {
  OptionRow& override = table.value(
      {"-ot", "--override-tensor"}, "PATTERN=D,...",
      "compute the blocks (attention or feed-forward of a layer, embeddings, output) of tensors whose names the "
      "regular expression finds on another device: a number, a part of its name, or CPU",
      [&](const std::string& name, const std::string& text) { parse_overrides(name, text, options.overrides); });
  override.environment = "LLAMA_ARG_OVERRIDE_TENSOR";
  override.repeatable = true;
  table
      .value({"-cmoe", "--cpu-moe"}, {}, "the same as -ot for the feed-forward of all layers with experts, on the CPU",
             [&](const std::string&, const std::string& on) {
               if (on == "1") options.overrides.push_back({kExperts, "CPU", OverrideOption::CpuMoe});
             })
      .environment = "LLAMA_ARG_CPU_MOE";
  table
      .value({"-ncmoe", "--n-cpu-moe"}, "N", "the same for the first N layers",
             [&](const std::string& name, const std::string& text) {
               constexpr std::int64_t kMostLayers = 4096;
               const std::int64_t count = parse_integer(name, text, 0, kMostLayers);
               std::erase_if(options.overrides, is_of_first_layers);  // given again, the last one counts
               for (std::int64_t i = 0; i < count; ++i) {
                 options.overrides.push_back(
                     {fmt::format("{}{}{}", kLayer, i, kExperts), "CPU", OverrideOption::CpuMoeLayers});
               }
             })
      .environment = "LLAMA_ARG_N_CPU_MOE";
}

void add_thread_option(OptionTable& table, EngineOptions& options) {
  table
      .value({"-t", "--threads"}, "N",
             "threads that read and pack weights (default: one per processor, at most 8), and compute units that run "
             "kernels on a CPU device (default: all)",
             [&](const std::string& name, const std::string& text) {
               options.loading.threads = options.device.compute_units = parse_threads(name, text);
             })
      .environment = "LLAMA_ARG_THREADS";
}

void add_device_options(OptionTable& table, EngineOptions& options, unsigned commands) {
  table.begin_group("Devices", commands);
  table
      .value({"-dev", "--device"}, "D,D",
             "devices to split the layers over: numbers or parts of names of --list-devices, or none for the CPU "
             "(default: the first GPU, else the first device)",
             [&](const std::string&, const std::string& text) { options.devices = text; })
      .takes(device_values())
      .environment = "LLAMA_ARG_DEVICE";
  table
      .value({"-ts", "--tensor-split"}, "A,B", "shares of the layers, one for each device (default: equal)",
             [&](const std::string& name, const std::string& text) {
               options.loading.placement.split = parse_split(name, text);
             })
      .environment = "LLAMA_ARG_TENSOR_SPLIT";
  table
      .value(
          {"-ngl", "--gpu-layers", "--n-gpu-layers"}, "N",
          "offload N layers, the output counted as one: from the last device of -dev to those before it, without -dev "
          "from "
          "a CPU to a GPU; auto, all or a number (default: auto, which is all)",
          [&](const std::string& name, const std::string& text) { options.gpu_layers = parse_gpu_layers(name, text); })
      .takes({.kind = Values::Kind::Words, .words = {"auto", "all"}})
      .environment = "LLAMA_ARG_N_GPU_LAYERS";
  table.choice({"--output-placement"}, "WHEN", "when -ngl offloads the output: first or last (default: first)",
               {"first", "last"}, [&](std::size_t index) {
                 options.loading.placement.output = index == 0 ? OutputPlacement::First : OutputPlacement::Last;
               });
  add_override_options(table, options);
  add_thread_option(table, options);
}

void add_loading_options(OptionTable& table, EngineOptions& options, unsigned commands) {
  const auto merge = [&](std::vector<std::string> names, std::string opposite, std::string help,
                         std::optional<bool>& target) {
    table
        .value(std::move(names), {}, std::move(help),
               [&target](const std::string&, const std::string& on) { target = on == "1"; })
        .opposites = {std::move(opposite)};
  };
  table.begin_group("Loading", commands);
  table.choice({"--fuse"}, "WHICH",
               "merge what is always used together while loading: auto (all that may be), on (the same, and what may "
               "not is told) or off; the text is the same (default: auto)",
               {"auto", "on", "off"}, [&](std::size_t index) {
                 options.fuse = index != 2;
                 options.tell_unfused = index == 1;
               });
  merge({"-muge", "--merge-up-gate-experts"}, "--no-merge-up-gate-experts",
        "gate and up of each expert become one, whatever --fuse says", options.merge_gate_up);
  merge({"-mqkv", "--merge-qkv"}, "--no-merge-qkv", "Q, K and V become one, whatever --fuse says", options.merge_qkv);
  std::vector<std::string> modes = load_mode_names();
  modes.emplace(modes.begin(), kAuto);
  table
      .value({"-lm", "--load-mode"}, "MODE",
             "how the file is read: mmap, dio (past the page cache), none (through it, without mmap) or auto, by "
             "whether it is there already (default: auto)",
             [&, modes](const std::string& name, const std::string& text) {
               // llama.cpp's other words keep pages in memory; here weights lie in the device's memory
               const std::string_view mode = text == "mlock"        ? "none"
                                             : text == "mmap+mlock" ? "mmap"
                                                                    : std::string_view(text);
               const std::size_t word = parse_choice(name, mode, modes);
               options.loading.load_mode = word == 0 ? std::nullopt : std::optional(static_cast<LoadMode>(word - 1));
             })
      .takes({.kind = Values::Kind::Words, .words = modes})
      .environment = "LLAMA_ARG_LOAD_MODE";
  OptionRow& mmap =
      table.value({"--mmap"}, {}, "the same as -lm mmap, and -lm none", [&](const std::string&, const std::string& on) {
        options.loading.load_mode = on == "1" ? LoadMode::Mmap : LoadMode::Read;
      });
  mmap.opposites = {"--no-mmap"};
  mmap.environment = "LLAMA_ARG_MMAP";
}

void add_arithmetic_options(OptionTable& table, EngineOptions& options, unsigned commands) {
  table.begin_group("Arithmetic", commands);
  optional_choice(table, {"--activations"}, "T",
                  "what meets quantised weights: q8 (8-bit integers), f32 (exact) or auto, the faster on the device "
                  "(default: auto)",
                  std::vector{Activations::Q8, Activations::F32}, activations_name, options.activations);
  optional_choice(table, {"--style"}, "S",
                  "how kernels are written: auto, vector (CPUs) or group (GPUs) (default: auto)",
                  std::vector{Style::Vector, Style::Group}, style_name, options.device.style);
  optional_choice(table, {"--dot"}, "D",
                  "8-bit dot product: auto, none, vnni-avx512, vnni-avx, khr-integer or dp4a, untried (default: auto, "
                  "which tries first)",
                  std::vector{DotProduct::None, DotProduct::VnniAvx512, DotProduct::VnniAvx, DotProduct::KhrInteger,
                              DotProduct::Dp4a},
                  dot_product_name, options.device.dot);
}

}  // namespace gguf_fuse::cli
