// SPDX-License-Identifier: MIT
#include "tensor_table_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "checked_math.hpp"
#include "utf8.hpp"

namespace gguf_fuse::loader::detail {
namespace {

// Numbers that ggml.h keeps free: Q4_2 and Q4_3 (2023), IQ4_NL in interleaved rows (2025).
bool was_removed(std::uint32_t id) { return id == 4 || id == 5 || (id >= 36 && id <= 38); }

class RowReader {
 public:
  explicit RowReader(HeaderReader& reader) : reader_(reader), begin_(reader.position()) {}

  Result<TensorInfo> read() {
    GGUF_FUSE_CHECK(pass_name());
    TensorInfo tensor;
    GGUF_FUSE_CHECK(read_shape(tensor));
    GGUF_FUSE_CHECK(read_type(tensor));
    GGUF_FUSE_ASSIGN(tensor.offset, reader_.read<std::uint64_t>());
    return tensor;
  }

 private:
  [[nodiscard]] Error error(ErrorCode code, std::string expected, std::string actual) const {
    return reader_.error(code, begin_, std::move(expected), std::move(actual),
                         std::string(reader_.text(begin_ + 8, name_length_)));
  }

  Result<void> pass_name() {
    GGUF_FUSE_ASSIGN(const std::uint64_t length, reader_.read<std::uint64_t>());
    if (length == 0 || length > reader_.limits().name_bytes) {
      return fail(error(ErrorCode::BadTensorName, fmt::format("1 to {} bytes", reader_.limits().name_bytes),
                        fmt::format("{}", length)));
    }
    GGUF_FUSE_CHECK(reader_.skip(length));
    name_length_ = length;
    if (!is_clean_utf8(reader_.text(begin_ + 8, length))) {
      return fail(error(ErrorCode::BadTensorName, "UTF-8 without NUL", "other bytes"));
    }
    return {};
  }

  Result<void> read_shape(TensorInfo& tensor) {
    GGUF_FUSE_ASSIGN(tensor.dimension_count, reader_.read<std::uint32_t>());
    if (tensor.dimension_count > tensor.dims.size()) {
      return fail(error(ErrorCode::BadDimensions, "0 to 4", fmt::format("{}", tensor.dimension_count)));
    }
    for (std::uint32_t i = 0; i < tensor.dimension_count; ++i) {
      GGUF_FUSE_ASSIGN(tensor.dims[i], reader_.read<std::uint64_t>());
      if (tensor.dims[i] >= kSizeLimit) {
        return fail(error(ErrorCode::SizeOverflow, "dimensions below 2^63", fmt::format("{}", tensor.dims[i])));
      }
    }
    // From the left, as ggml multiplies (gguf.cpp): a zero must not hide that those before it are too large together.
    std::optional<std::uint64_t> elements = tensor.dims[0];
    for (std::size_t i = 1; i < tensor.dims.size() && elements; ++i) {
      elements = checked_multiply(*elements, tensor.dims[i]);
    }
    if (!elements || !row_count(tensor.dims)) {
      return fail(
          error(ErrorCode::SizeOverflow, "fewer than 2^63 elements", fmt::format("{}", fmt::join(tensor.dims, " x "))));
    }
    return {};
  }

  Result<void> read_type(TensorInfo& tensor) {
    GGUF_FUSE_ASSIGN(const std::uint32_t id, reader_.read<std::uint32_t>());
    tensor.type = find_tensor_type(id);
    if (tensor.type == nullptr) {
      Error unknown = error(ErrorCode::UnknownType, {}, fmt::format("type {}", id));
      if (was_removed(id)) unknown.hint = "ggml no longer has it; download a newer file, or convert the original again";
      return fail(std::move(unknown));
    }
    const TensorType& type = *tensor.type;
    if (tensor.dims[0] % type.block_elements != 0) {
      return fail(error(ErrorCode::PartialBlock,
                        fmt::format("rows of a multiple of {} elements ({})", type.block_elements, type.name),
                        fmt::format("{}", tensor.dims[0])));
    }
    if (tensor.dims[1] % type.rows_per_group != 0) {
      return fail(error(ErrorCode::PartialGroup,
                        fmt::format("a multiple of {} rows ({})", type.rows_per_group, type.name),
                        fmt::format("{}", tensor.dims[1])));
    }
    const auto bytes = tensor_bytes(type, tensor.dims);
    if (!bytes) {
      return fail(error(ErrorCode::SizeOverflow, "fewer than 2^63 bytes",
                        fmt::format("{} of {}", fmt::join(tensor.dims, " x "), type.name)));
    }
    tensor.bytes = *bytes;
    return {};
  }

  HeaderReader& reader_;
  std::uint64_t begin_;
  std::uint64_t name_length_ = 0;
};

}  // namespace

void TensorTable::resolve_names(const std::vector<std::byte>& header) {
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto record = std::span(header).subspan(records[i]);
    const auto length = static_cast<std::size_t>(load<std::uint64_t>(record, big_endian));
    tensors[i].name = {reinterpret_cast<const char*>(record.data()) + 8, length};
  }
}

std::optional<std::size_t> TensorTable::duplicate() const {
  std::vector<std::uint32_t> sorted(tensors.size());
  std::iota(sorted.begin(), sorted.end(), 0U);
  std::sort(sorted.begin(), sorted.end(), [this](std::uint32_t a, std::uint32_t b) {
    return std::pair(tensors[a].name, a) < std::pair(tensors[b].name, b);
  });
  for (std::size_t i = 1; i < sorted.size(); ++i) {
    if (tensors[sorted[i - 1]].name == tensors[sorted[i]].name) return sorted[i];
  }
  return std::nullopt;
}

Result<TensorTable> read_tensor_table(HeaderReader& reader, std::uint64_t count) {
  TensorTable table;
  table.big_endian = reader.big_endian();
  for (std::uint64_t i = 0; i < count; ++i) {
    table.records.push_back(reader.position());
    GGUF_FUSE_ASSIGN(TensorInfo tensor, RowReader(reader).read());
    table.tensors.push_back(tensor);
  }
  return table;
}

}  // namespace gguf_fuse::loader::detail
