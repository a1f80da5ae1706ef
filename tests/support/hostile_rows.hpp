// SPDX-License-Identifier: MIT
#pragma once

#include <initializer_list>
#include <string_view>
#include <utility>

#include "support/hostile.hpp"

namespace gguf_fuse::test_support {

inline constexpr std::uint64_t kMax64 = ~std::uint64_t{0};
inline constexpr std::uint64_t kTwoTo63 = std::uint64_t{1} << 63;

/// A file put together field by field, right or wrong: a HeaderWriter could not write what these rows need.
class RawBytes {
 public:
  explicit RawBytes(bool big_endian = false) : big_endian_(big_endian) {}

  RawBytes& text(std::string_view bytes);  ///< as it is, without a length
  RawBytes& u8(std::uint8_t value) { return number(value, 1); }
  RawBytes& u16(std::uint16_t value) { return number(value, 2); }
  RawBytes& u32(std::uint32_t value) { return number(value, 4); }
  RawBytes& u64(std::uint64_t value) { return number(value, 8); }
  RawBytes& string(std::string_view value) { return u64(value.size()).text(value); }
  RawBytes& zeros(std::size_t count);
  RawBytes& pad(std::size_t alignment = 32);
  RawBytes& cut(std::size_t bytes);  ///< takes bytes away at the end

  RawBytes& header(std::uint64_t tensors, std::uint64_t keys, std::uint32_t version = 3);
  RawBytes& key(std::string_view name, ValueType type) { return string(name).u32(static_cast<std::uint32_t>(type)); }
  RawBytes& array(std::string_view name, ValueType element, std::uint64_t count);
  RawBytes& row(std::string_view name, std::initializer_list<std::uint64_t> dims, std::uint32_t type,
                std::uint64_t offset);

  [[nodiscard]] const Bytes& bytes() const { return bytes_; }

 private:
  RawBytes& number(std::uint64_t value, std::size_t bytes);

  bool big_endian_;
  Bytes bytes_;
};

using Fill = std::function<void(RawBytes&)>;

/// Collects rows that share the beginning of the file.
class HostileRows {
 public:
  /// Everything comes from `fill`.
  void file(std::string name, ErrorCode code, Fill fill);
  /// One metadata key; `fill` writes it.
  void key(std::string name, ErrorCode code, Fill fill);
  /// `count` rows of the tensor table, which `fill` writes; then padding and `data` bytes.
  void tensors(std::string name, ErrorCode code, std::uint64_t count, std::size_t data, Fill fill);
  /// One row with these fields and no data.
  void tensor(std::string name, ErrorCode code, std::initializer_list<std::uint64_t> dims, std::uint32_t type,
              std::uint64_t offset = 0);

  [[nodiscard]] std::vector<HostileFile> take() { return std::move(rows_); }

 private:
  std::vector<HostileFile> rows_;
};

void add_header_rows(HostileRows& rows);
void add_metadata_rows(HostileRows& rows);
void add_array_rows(HostileRows& rows);
void add_tensor_rows(HostileRows& rows);
void add_layout_rows(HostileRows& rows);

}  // namespace gguf_fuse::test_support
