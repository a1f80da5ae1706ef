// SPDX-License-Identifier: MIT
#pragma once

#include "bench_options.hpp"
#include "start.hpp"

namespace gguf_fuse::cli {

/// What was measured under one choice of settings.
struct BenchResult {
  EngineOptions engine{};    ///< as given
  SessionOptions session{};  ///< the micro-batch and the types of the cache, as given
  std::uint32_t batch = 0;
  ModelDescription description{};
  std::string devices{};
  Activations activations = Activations::Q8;
  BenchTest test{};
  std::string load{};                    ///< "load, programs built"; empty for tests of speed
  std::optional<StartReport> start{};    ///< of the last repetition, when it is about loading
  std::string time{};                    ///< ISO 8601, when it began
  std::vector<double> seconds{};         ///< of each repetition
  std::vector<double> prompt_seconds{};  ///< of several texts: those of their prompts, which `seconds` include

  /// -ts as given, with slashes.
  [[nodiscard]] std::string split_text() const;
  [[nodiscard]] std::string test_name() const { return load.empty() ? test.name() : load; }
  /// Tokens a second of each repetition; empty where one took too little time to say.
  [[nodiscard]] std::vector<double> rates() const;
  /// The same of prompts and of single tokens, of several texts.
  [[nodiscard]] std::vector<double> prompt_rates() const;
  [[nodiscard]] std::vector<double> generation_rates() const;
  [[nodiscard]] std::vector<double> generation_seconds() const;
};

/// Measures all combinations; `done` gets each result as it comes. Errors: those of start_engine and
/// Session::evaluate.
[[nodiscard]] Result<void> measure(const BenchOptions& options, Control& control,
                                   const std::function<void(const BenchResult&)>& done);

}  // namespace gguf_fuse::cli
