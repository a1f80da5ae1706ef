// SPDX-License-Identifier: MIT
#pragma once

#include "header_reader.hpp"

namespace gguf_fuse::loader::detail {

/// The tensor table as read. Names are views into the header's bytes, which move until the header is complete: until
/// resolve_names they are empty.
struct TensorTable {
  std::vector<TensorInfo> tensors;
  std::vector<std::uint64_t> records;  ///< where each row begins in the file
  bool big_endian = false;

  void resolve_names(const std::vector<std::byte>& header);
  /// The index of a tensor whose name is there already.
  [[nodiscard]] std::optional<std::size_t> duplicate() const;
};

/// Errors: BadTensorName, BadDimensions, SizeOverflow, UnknownType, PartialBlock, PartialGroup, and the reader's.
[[nodiscard]] Result<TensorTable> read_tensor_table(HeaderReader& reader, std::uint64_t count);

}  // namespace gguf_fuse::loader::detail
