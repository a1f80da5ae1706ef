// SPDX-License-Identifier: MIT
#pragma once

#include "cli_test.hpp"
#include "support/paths.hpp"

namespace gguf_fuse::test_support {

/// Runs gguf-run.
inline ProgramResult gguf_run(std::vector<std::string> arguments, const RunOptions& options = {}) {
  arguments.insert(arguments.begin(), built("gguf-run"));
  return run_program(arguments, options);
}

/// The JSON of a run that succeeds.
inline nlohmann::json run_json(std::vector<std::string> arguments, const RunOptions& options = {}) {
  const ProgramResult result = gguf_run(std::move(arguments), options);
  if (result.exit_code != 0) throw std::runtime_error(result.err + result.out);
  return parsed(result.out);
}

/// What llama.cpp says about the tiny model.
inline nlohmann::json llama_reference() { return parsed(read_text(model("llama-q8_0.json"))); }

inline std::string joined(const std::vector<std::int32_t>& tokens) {
  std::string text;
  for (const std::int32_t token : tokens) text += (text.empty() ? "" : ",") + std::to_string(token);
  return text;
}

}  // namespace gguf_fuse::test_support
