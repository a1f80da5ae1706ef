// SPDX-License-Identifier: MIT
#pragma once

#include "json_output.hpp"
#include "run_options.hpp"
#include "start.hpp"

namespace gguf_fuse::cli {

/// What a run did, over all answers of a conversation.
struct RunTotals {
  std::uint64_t prompt_tokens = 0;
  double prompt_seconds = 0;
  std::uint64_t tokens = 0;
  double seconds = 0;
  double bandwidth = 0;  ///< bytes a second that the device was measured to read; 0: not measured

  void add(const Generation& generation);
};

/// The bandwidth of an engine's only device; 0 with several, whose shares of the work are not known, and where nothing
/// was generated to compare it with. A failure is no more than a missing number.
[[nodiscard]] double measured_bandwidth(const Engine& engine, const RunTotals& totals);

/// The end of a run for people, in rows.
[[nodiscard]] std::string report_text(const RunOptions& options, const Engine& engine, const RunTotals& totals,
                                      std::size_t width);
/// The same numbers for --json.
[[nodiscard]] Json timings_json(const Engine& engine, const RunTotals& totals);

}  // namespace gguf_fuse::cli
