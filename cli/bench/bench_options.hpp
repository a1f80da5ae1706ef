// SPDX-License-Identifier: MIT
#pragma once

#include "start.hpp"

namespace gguf_fuse::cli {

/// One measurement: a prompt of so many tokens, then so many tokens one by one, behind `depth` others. With `sequences`
/// this many of such texts at once: their prompts together, then a token of each in every step.
struct BenchTest {
  std::uint32_t prompt = 0;
  std::uint32_t generate = 0;
  std::uint32_t depth = 0;
  std::uint32_t sequences = 0;  ///< 0: one text, measured as a whole
  bool shared = false;          ///< all have one prompt, which is computed once

  /// pp512, tg128, pp512+tg128, pp512 @ d512: llama-bench's names; of several texts pp512+tg128 x 8.
  [[nodiscard]] std::string name() const;
  /// Tokens that are computed, but for those of the depth.
  [[nodiscard]] std::uint64_t prompt_tokens() const;
  [[nodiscard]] std::uint64_t generated_tokens() const;
  [[nodiscard]] std::uint64_t tokens() const { return prompt_tokens() + generated_tokens(); }
};

enum class BenchFormat { Markdown, Csv, JsonArray, JsonLines };

/// Lists hold what is measured one after the other, in all combinations.
struct BenchOptions {
  std::vector<std::string> models{};
  std::vector<BenchTest> tests{};
  std::vector<std::uint32_t> batches{2048};
  std::vector<std::uint32_t> micro_batches{512};
  std::vector<CacheType> caches_k{CacheType::F16};
  std::vector<CacheType> caches_v{CacheType::F16};
  std::vector<std::string> devices{""};
  std::vector<std::vector<double>> splits{{}};
  std::vector<std::optional<std::uint32_t>> gpu_layers{std::nullopt};
  EngineOptions engine{};     ///< for what is no list
  StartOptions start{};       ///< the same
  std::uint32_t context = 0;  ///< tokens of all sequences of a test together; 0: what the largest test needs
  std::uint32_t repetitions = 5;
  BenchFormat format = BenchFormat::Markdown;
  bool load = false;  ///< measure starting too
  bool list_devices = false;
};

struct BenchCommandLine {
  std::optional<BenchOptions> options{};
  std::string text{};  ///< help or version, where that was asked for instead
  std::vector<std::string> warnings{};
};

/// What gguf-bench says to the flags of llama-bench and ik_llama.cpp.
[[nodiscard]] ForeignOptions bench_foreign_options();

/// Throws UsageError.
[[nodiscard]] BenchCommandLine parse_bench_command_line(const std::vector<std::string>& arguments);

}  // namespace gguf_fuse::cli
