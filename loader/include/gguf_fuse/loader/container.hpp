// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gguf_fuse/loader/error.hpp"
#include "gguf_fuse/loader/metadata.hpp"
#include "gguf_fuse/loader/source.hpp"
#include "gguf_fuse/loader/tensor_type.hpp"

namespace gguf_fuse::loader {

inline constexpr std::uint64_t kDefaultAlignment = 32;

/// One row of the tensor table. Valid as long as its Container's header bytes.
struct TensorInfo {
  std::string_view name;
  const TensorType* type = nullptr;
  std::uint32_t dimension_count = 0;  ///< as stored, 0 .. 4
  Dimensions dims{1, 1, 1, 1};
  std::uint64_t offset = 0;  ///< relative to Container::data_offset
  std::uint64_t bytes = 0;   ///< without padding
};

/// One GGUF file's header, parsed and validated: magic to tensor table. Tensors lie in table order without overlap,
/// each at the next multiple of the alignment.
struct Container {
  std::string path;
  std::uint32_t version = 3;
  bool big_endian = false;
  std::uint64_t alignment = kDefaultAlignment;
  Metadata metadata;
  std::vector<TensorInfo> tensors;
  std::uint64_t data_offset = 0;              ///< first byte of tensor data in the file
  std::uint64_t data_bytes = 0;               ///< end of the last tensor, relative to data_offset
  std::optional<std::uint64_t> file_bytes{};  ///< nothing for streams
  HeaderBytes header;                         ///< the file up to the end of the tensor table

  /// The name of the tensor at `offset` of the file, or of the next one for padding; empty behind the last.
  [[nodiscard]] GGUF_FUSE_EXPORT std::string_view tensor_at(std::uint64_t offset) const;
  /// An error of reading [begin, end) of the file, with the name of the tensor that it is about; as it is where it has
  /// a subject, or is no fault of the file.
  [[nodiscard]] GGUF_FUSE_EXPORT Error with_tensor(Error error, std::uint64_t begin, std::uint64_t end) const;
};

/// Limits that hold whatever the file says (docs/format.md gives the reasons).
struct Limits {
  std::uint64_t metadata_bytes = std::uint64_t{1} << 30;
  std::uint64_t string_bytes = std::uint64_t{16} << 20;
  std::uint32_t array_depth = 4;
  std::uint64_t key_bytes = 65535;
  std::uint64_t name_bytes = 63;
  std::uint64_t alignment = 65536;
};

/// Reads and validates the header; touches no tensor data. Errors: every Malformed code of the container, and the
/// source's.
[[nodiscard]] GGUF_FUSE_EXPORT Result<Container> read_container(Source& source, const Limits& limits = {});

/// `value` rounded up to a multiple of `alignment` (a power of two); the caller guarantees that it fits.
[[nodiscard]] constexpr std::uint64_t align_up(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) & ~(alignment - 1);
}

}  // namespace gguf_fuse::loader
