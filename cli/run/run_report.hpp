// SPDX-License-Identifier: MIT
#pragma once

#include "gguf_fuse/runtime/generate_many.hpp"
#include "json_output.hpp"
#include "run_options.hpp"
#include "start.hpp"

namespace gguf_fuse::cli {

/// What a run did, over all answers of a conversation.
struct RunTotals {
  std::uint64_t prompt_tokens = 0;
  double prompt_seconds = 0;
  std::uint64_t tokens = 0;  ///< sampled
  /// Those of them that were evaluated: the last one of an answer never is, so that an answer of one token, which the
  /// prompt's logits gave, is no generation that could be measured.
  std::uint64_t evaluated = 0;
  double seconds = 0;
  std::optional<GenerateManyReport> many{};  ///< of --prompts, whose seconds are those of prompts and answers together

  void add(const Generation& generation);
};

/// The end of a run for people, in rows. Measures how fast the only device reads the weights it holds, where something
/// was generated to compare it with; with several devices the shares of the work are not known.
[[nodiscard]] std::string report_text(const RunOptions& options, const Engine& engine, const RunTotals& totals,
                                      std::size_t width);
/// The same numbers for --json, which measures nothing. A rate that cannot be told is null.
[[nodiscard]] Json timings_json(const Engine& engine, const RunTotals& totals);

}  // namespace gguf_fuse::cli
