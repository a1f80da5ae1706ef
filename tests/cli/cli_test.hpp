// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "support/file_util.hpp"
#include "support/paths.hpp"
#include "support/run_program.hpp"
#include "support/temp_dir.hpp"

namespace gguf_fuse::test_support {

/// Runs gguf-fuse.
inline ProgramResult gguf_fuse(std::vector<std::string> arguments, const RunOptions& options = {}) {
  arguments.insert(arguments.begin(), built("gguf-fuse"));
  return run_program(arguments, options);
}

/// A model of tests/data/models.
inline std::string model(const std::string& name) { return test_data("models/") + name; }

/// Q, K and V of one type in both layers.
inline std::string llama() { return model("llama-q8_0.gguf"); }

/// A copy of a model in which the first `from` is replaced by as many bytes.
inline std::string altered_copy(const std::string& path, const TempDir& folder, const std::string& from,
                                const std::string& to) {
  std::string bytes = read_text(path);
  bytes.replace(bytes.find(from), from.size(), to);
  std::string copy = folder.file("altered.gguf");
  write_text(copy, bytes);
  return copy;
}

inline nlohmann::json parsed(const std::string& text) { return nlohmann::json::parse(text); }

}  // namespace gguf_fuse::test_support
