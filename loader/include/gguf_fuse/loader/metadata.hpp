// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gguf_fuse/loader/error.hpp"
#include "gguf_fuse/loader/namespace.hpp"

namespace gguf_fuse::loader {

/// GGUF's metadata value types, with their numbers in the file.
enum class ValueType : std::uint32_t { U8, I8, U16, I16, U32, I32, F32, Bool, String, Array, U64, I64, F64 };

[[nodiscard]] GGUF_FUSE_EXPORT std::string_view value_type_name(ValueType type);
/// Bytes of a scalar; 0 for strings and arrays.
[[nodiscard]] GGUF_FUSE_EXPORT std::size_t value_type_bytes(ValueType type);

/// Header bytes as read, shared by everything that refers into them.
using HeaderBytes = std::shared_ptr<const std::vector<std::byte>>;

/// A value inside the header's bytes: nothing is decoded until asked. Valid as long as its Metadata.
class GGUF_FUSE_EXPORT Value {
 public:
  Value(ValueType type, std::span<const std::byte> bytes, bool big_endian)
      : type_(type), bytes_(bytes), big_endian_(big_endian) {}

  [[nodiscard]] ValueType type() const { return type_; }
  /// The value's bytes as stored (strings with their length, arrays with element type and count).
  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }

  /// Any integer type whose value fits; nothing otherwise.
  [[nodiscard]] std::optional<std::uint64_t> as_unsigned() const;
  [[nodiscard]] std::optional<std::int64_t> as_signed() const;
  /// F32 and F64.
  [[nodiscard]] std::optional<double> as_double() const;
  [[nodiscard]] std::optional<bool> as_bool() const;
  /// The string's bytes (not necessarily UTF-8).
  [[nodiscard]] std::optional<std::string_view> as_string() const;

  /// Arrays only: element type and count; 0 elements and U8 for other types.
  [[nodiscard]] ValueType element_type() const;
  [[nodiscard]] std::uint64_t count() const;

  /// Walks an array's elements in order without copying them.
  class GGUF_FUSE_EXPORT Iterator {
   public:
    Iterator(std::span<const std::byte> rest, ValueType element, std::uint64_t left, bool big_endian)
        : rest_(rest), element_(element), left_(left), big_endian_(big_endian) {}
    [[nodiscard]] bool done() const { return left_ == 0; }
    [[nodiscard]] Value operator*() const;
    Iterator& operator++();

   private:
    std::span<const std::byte> rest_;
    ValueType element_;
    std::uint64_t left_;
    bool big_endian_;
  };
  [[nodiscard]] Iterator elements() const;

  /// For people: scalars as numbers, strings quoted and escaped, arrays as `[string x 49152]` with their first
  /// elements.
  [[nodiscard]] std::string display(std::size_t max_length = 60) const;

 private:
  ValueType type_;
  std::span<const std::byte> bytes_;
  bool big_endian_;
};

/// The key/value section, byte-exact and in file order. Costs 12 bytes a key beside the header's bytes.
class GGUF_FUSE_EXPORT Metadata {
 public:
  struct Entry {
    std::string_view key;
    Value value;
    std::span<const std::byte> record;  ///< key, type and value as stored
    std::uint64_t offset;               ///< of the record in the file
  };

  Metadata() = default;
  /// `begins` holds the offset of each record in `bytes` and, last, the end of the last one. Records are validated
  /// already.
  Metadata(HeaderBytes bytes, std::vector<std::uint64_t> begins, bool big_endian, std::string path);

  [[nodiscard]] std::size_t size() const { return begins_.empty() ? 0 : begins_.size() - 1; }
  /// An entry without a key where there is none with that index.
  [[nodiscard]] Entry operator[](std::size_t index) const;
  [[nodiscard]] std::optional<Value> find(std::string_view key) const;
  /// The index of a key that is there already, if any: the reader refuses such files.
  [[nodiscard]] std::optional<std::size_t> duplicate() const;
  [[nodiscard]] bool big_endian() const { return big_endian_; }

  /// Typed access. Errors: MissingKey, WrongValueType (with key, offset and both types).
  [[nodiscard]] Result<std::uint64_t> get_unsigned(std::string_view key) const;
  [[nodiscard]] Result<std::string_view> get_string(std::string_view key) const;
  [[nodiscard]] Result<std::vector<std::uint64_t>> get_unsigned_array(std::string_view key) const;
  [[nodiscard]] Result<std::vector<std::string_view>> get_string_array(std::string_view key) const;
  /// The whole section as stored.
  [[nodiscard]] std::span<const std::byte> section() const;

 private:
  [[nodiscard]] std::optional<std::size_t> index_of(std::string_view key) const;
  [[nodiscard]] Error wrong_type(std::size_t index, std::string expected) const;
  [[nodiscard]] Error missing(std::string_view key) const;

  HeaderBytes bytes_;
  std::vector<std::uint64_t> begins_;
  std::vector<std::uint32_t> sorted_;  // indices in key order
  bool big_endian_ = false;
  std::string path_;
};

}  // namespace gguf_fuse::loader
