// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <vector>

#include "gguf_fuse/fuse/namespace.hpp"
#include "gguf_fuse/loader/model.hpp"

namespace gguf_fuse::fuse::detail {

/// A range of a file that belongs to no tensor.
struct Gap {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

/// Between tensor table and data, and between tensors; not what lies behind the last one.
[[nodiscard]] std::vector<Gap> gaps_of(const Container& container);

/// Whether the padding of all files, and what follows their last tensors, is zero. For random-access models.
[[nodiscard]] Result<bool> padding_is_zero(Model& model);

[[nodiscard]] bool all_zero(std::span<const std::byte> bytes);

}  // namespace gguf_fuse::fuse::detail
