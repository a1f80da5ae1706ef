// SPDX-License-Identifier: MIT
#include "columns.hpp"

#include <fmt/format.h>

#include "invalid.hpp"

namespace gguf_fuse::kernels::detail {

std::string text_of(const Columns& shape) {
  return fmt::format("{} segments of {} columns from {} on, {} apart, in rows of {}", shape.segments, shape.columns,
                     shape.offset, shape.stride, shape.row);
}

Result<void> check_columns(const char* operation, const Columns& shape) {
  const std::uint64_t last = std::uint64_t{shape.segments} - 1;
  const bool apart = shape.segments == 1 || shape.stride >= shape.columns;
  if (shape.columns != 0 && shape.segments != 0 && apart &&
      std::uint64_t{shape.offset} + last * shape.stride + shape.columns <= shape.row) {
    return {};
  }
  return invalid(operation, "segments that lie in their row and do not overlap", text_of(shape));
}

Result<void> check_alike(const char* operation, const Columns& shape, const Columns& other) {
  GGUF_FUSE_CHECK(check_columns(operation, shape));
  GGUF_FUSE_CHECK(check_columns(operation, other));
  if (shape.segments == other.segments && shape.columns == other.columns) return {};
  return invalid(operation, text_of(shape), text_of(other));
}

}  // namespace gguf_fuse::kernels::detail
