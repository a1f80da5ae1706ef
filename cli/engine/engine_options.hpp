// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gguf_fuse/kernels/device.hpp"
#include "gguf_fuse/runtime/model.hpp"
#include "gguf_fuse/runtime/session.hpp"
#include "namespace.hpp"
#include "option_table.hpp"

namespace gguf_fuse::cli {

/// The option that says where blocks of tensors go: -ot, -cmoe or -ncmoe.
enum class OverrideOption : std::uint8_t { Pattern, CpuMoe, CpuMoeLayers };

/// A pattern of tensor names and the device its blocks go to: what -dev takes, or CPU for the first CPU device.
struct OverrideText {
  std::string pattern;
  std::string device;
  OverrideOption option = OverrideOption::Pattern;
};

/// Which model runs where. The library's own options hold what an option says of them; the rest of them is filled in
/// when devices are known.

struct EngineOptions {
  std::string model{};
  std::string devices{};                      ///< -dev; empty: the default one; "none": the first CPU
  ModelOptions loading{};                     ///< -ts, --output-placement, -lm, -t
  std::optional<std::uint32_t> gpu_layers{};  ///< -ngl N; nothing: all of them
  std::vector<OverrideText> overrides{};      ///< -ot, -cmoe and -ncmoe, in their order
  bool fuse = true;                           ///< --fuse; what the next two do not say
  bool tell_unfused = false;                  ///< --fuse on: what stays apart is worth a warning
  std::optional<bool> merge_gate_up{};        ///< -muge
  std::optional<bool> merge_qkv{};            ///< -mqkv
  std::optional<Activations> activations{};   ///< nothing: what is fastest on the devices
  DeviceOptions device{};                     ///< --style, --dot, --profile, -t
  bool verbose = false;
};

/// Devices, threads and how to compute, for gguf-run and gguf-bench alike.
void add_device_options(OptionTable& table, EngineOptions& options, unsigned commands);
/// -ot, -cmoe and -ncmoe, in the group that was begun last.
void add_override_options(OptionTable& table, EngineOptions& options);
/// -t, in the group that was begun last.
void add_thread_option(OptionTable& table, EngineOptions& options);
void add_loading_options(OptionTable& table, EngineOptions& options, unsigned commands);
void add_arithmetic_options(OptionTable& table, EngineOptions& options, unsigned commands);

/// Whether a word on a command line is a model: the name of a GGUF file, or of a file that is there.
[[nodiscard]] bool looks_like_model(const std::string& word);
/// Without -m the first word is the model, if it looks like one.
void take_model(EngineOptions& options, std::vector<std::string>& words);

// Option values; all throw UsageError.

/// Of -ngl; nothing: all of them.
[[nodiscard]] std::optional<std::uint32_t> parse_gpu_layers(const std::string& option, const std::string& text);
[[nodiscard]] CacheType parse_cache_type(std::string_view option, std::string_view text);
/// What -ctk and -dev may be followed by.
[[nodiscard]] Values cache_type_values();
[[nodiscard]] Values device_values();
/// Shares of devices: 3,1 or 3/1.
[[nodiscard]] std::vector<double> parse_split(std::string_view option, std::string text);

/// "auto", "on" or "off", as --fuse has it.
[[nodiscard]] std::string_view fuse_word(const EngineOptions& options);
/// What gate and up, and Q, K and V are to become, by --fuse, -muge and -mqkv together.
[[nodiscard]] bool merges_gate_up(const EngineOptions& options);
[[nodiscard]] bool merges_qkv(const EngineOptions& options);
/// -ot and -cmoe as PATTERN=DEVICE;...; empty without.
[[nodiscard]] std::string overrides_text(const EngineOptions& options);
/// -ngl as a number or "all".
[[nodiscard]] std::string gpu_layers_text(const EngineOptions& options);
/// N of -ncmoe.
[[nodiscard]] std::size_t cpu_moe_layers(const EngineOptions& options);
[[nodiscard]] std::string_view cache_type_name(CacheType type);
[[nodiscard]] std::string_view activations_name(Activations activations);

}  // namespace gguf_fuse::cli
