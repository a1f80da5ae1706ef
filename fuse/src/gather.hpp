// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <span>

#include "gguf_fuse/fuse/pipeline.hpp"

namespace gguf_fuse::fuse::detail {

/// Calls `function(tensor, piece)` for every piece of `file` within [begin, end) of the output file; piece.offset is
/// absolute there. Stops at the first error, which gets the tensor's name.
[[nodiscard]] Result<void> for_each_piece(
    const PlannedFile& file, std::uint64_t begin, std::uint64_t end,
    const std::function<Result<void>(const PlannedTensor&, const Piece&)>& function);

/// Fills `out` with bytes [begin, begin + out.size()) of the output file: header, tensors, zeros between them.
[[nodiscard]] Result<void> gather(const PlannedFile& file, Model& model, std::uint64_t begin, std::span<std::byte> out);

/// Only the tensors' bytes: the rest of `out` stays as it is.
[[nodiscard]] Result<void> gather_tensors(const PlannedFile& file, Model& model, std::uint64_t begin,
                                          std::span<std::byte> out);

/// The name of the tensor at `offset` of the output file; empty in header and padding.
[[nodiscard]] std::string_view tensor_at(const PlannedFile& file, std::uint64_t offset);

}  // namespace gguf_fuse::fuse::detail
