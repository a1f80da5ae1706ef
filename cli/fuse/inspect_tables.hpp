// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "gguf_fuse/loader/model.hpp"
#include "namespace.hpp"

namespace gguf_fuse::cli {

// `width` is the terminal's, 0 when there is none.

/// What a model is, in a dozen lines.
[[nodiscard]] std::string fact_table(const std::string& path, const ModelInfo& model, std::size_t width);
/// Tensors in groups: those of all layers that are alike are one row.
[[nodiscard]] std::string group_table(const ModelInfo& model);
[[nodiscard]] std::string tensor_table(const ModelInfo& model);
[[nodiscard]] std::string key_table(const ModelInfo& model, std::size_t width);
[[nodiscard]] std::string type_table();

}  // namespace gguf_fuse::cli
