// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>

#include "gguf_fuse/loader/model.hpp"

namespace gguf_fuse::loader {

/// What a GGUF file is when it is no language model, or none that is whole.
struct FileKind {
  std::string name;    ///< "a LoRA adapter"
  std::string told;    ///< by what: "general.type is adapter"
  std::string advice;  ///< what it is for, and what to give instead
};

/// Nothing for models, and for what nothing is known of. Facts: gguf-py's constants.py, and the tools of llama.cpp that
/// write these files.
[[nodiscard]] GGUF_FUSE_EXPORT std::optional<FileKind> other_than_model(const ModelInfo& info);

[[nodiscard]] GGUF_FUSE_EXPORT Error not_a_model(const FileKind& kind, const std::string& path);

}  // namespace gguf_fuse::loader
