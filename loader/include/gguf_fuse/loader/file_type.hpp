// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "gguf_fuse/loader/export.hpp"
#include "gguf_fuse/loader/namespace.hpp"

namespace gguf_fuse::loader {

/// A value of the key general.file_type: the mix of tensor types that a quantiser was asked for.
struct FileType {
  std::uint32_t id;       ///< llama_ftype
  std::string_view name;  ///< as people and file names have it: Q4_K_M
  /// Names of the tensor types that most weights of such a file have; empty: one less. The last one is what rows get
  /// that are no whole number of the first one's blocks.
  std::string_view type, second_type, short_row_type;

  /// Whether a tensor of this type is what the name promises.
  [[nodiscard]] constexpr bool has(std::string_view tensor_type) const {
    return tensor_type == type || tensor_type == second_type || tensor_type == short_row_type;
  }
};

[[nodiscard]] GGUF_FUSE_EXPORT std::span<const FileType> file_types();
/// Null for an id that llama.cpp does not have.
[[nodiscard]] GGUF_FUSE_EXPORT const FileType* find_file_type(std::uint64_t id);

}  // namespace gguf_fuse::loader
