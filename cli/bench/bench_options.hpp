// SPDX-License-Identifier: MIT
#pragma once

#include "start.hpp"

namespace gguf_fuse::cli {

/// One measurement: a prompt of so many tokens, then so many tokens one by one, behind `depth` others.
struct BenchTest {
  std::uint32_t prompt = 0;
  std::uint32_t generate = 0;
  std::uint32_t depth = 0;

  /// pp512, tg128, pp512+tg128, pp512 @ d512: llama-bench's names.
  [[nodiscard]] std::string name() const;
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
  EngineOptions engine{};  ///< for what is no list
  StartOptions start{};    ///< the same
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
