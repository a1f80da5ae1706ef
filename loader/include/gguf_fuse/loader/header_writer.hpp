// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gguf_fuse/loader/container.hpp"

namespace gguf_fuse::loader {

/// Writes a GGUF header: keys in the order given, then the tensor table. Tensor data is laid out as every engine
/// expects: in table order, each tensor at the next multiple of the alignment.
class GGUF_FUSE_EXPORT HeaderWriter {
 public:
  explicit HeaderWriter(std::uint32_t version = 3, bool big_endian = false)
      : version_(version), big_endian_(big_endian) {}

  /// Alignment of the tensor data; writes no key (add general.alignment where it is not the default). Errors:
  /// BadAlignment when it is no power of two up to Limits::alignment; the one before stays.
  [[nodiscard]] Result<void> set_alignment(std::uint64_t alignment);

  /// A record exactly as another file of the same byte order stores it (Metadata::Entry::record).
  void add_record(std::span<const std::byte> record);
  /// `count` such records at once (Metadata::section).
  void add_records(std::span<const std::byte> section, std::uint64_t count);
  /// A key with a type and the value's stored bytes (Value::bytes).
  void add_value(std::string_view key, ValueType type, std::span<const std::byte> value);

  void add_u8(std::string_view key, std::uint8_t value);
  void add_u16(std::string_view key, std::uint16_t value);
  void add_u32(std::string_view key, std::uint32_t value);
  void add_u64(std::string_view key, std::uint64_t value);
  void add_i32(std::string_view key, std::int32_t value);
  void add_f32(std::string_view key, float value);
  void add_bool(std::string_view key, bool value);
  void add_string(std::string_view key, std::string_view value);
  void add_u8_array(std::string_view key, std::span<const std::byte> values);
  void add_u32_array(std::string_view key, std::span<const std::uint32_t> values);
  void add_i32_array(std::string_view key, std::span<const std::int32_t> values);
  void add_u64_array(std::string_view key, std::span<const std::uint64_t> values);
  void add_f32_array(std::string_view key, std::span<const float> values);
  void add_bool_array(std::string_view key, std::span<const bool> values);
  void add_string_array(std::string_view key, std::span<const std::string_view> values);

  /// Appends a row of the tensor table and returns the tensor's offset relative to the data section. Errors, after
  /// which the header is as before: BadDimensions when there are more than four, SizeOverflow when the data would not
  /// end below 2^63.
  [[nodiscard]] Result<std::uint64_t> add_tensor(std::string_view name, const TensorType& type,
                                                 std::uint32_t dimension_count, const Dimensions& dims);

  [[nodiscard]] std::uint64_t key_count() const { return key_count_; }
  /// The place in the header behind the last key so far.
  [[nodiscard]] std::uint64_t keys_end() const { return kKeysBegin + keys_.size(); }
  /// End of the last tensor relative to the data section, without padding.
  [[nodiscard]] std::uint64_t data_bytes() const { return data_bytes_; }
  /// Magic to tensor table, zero-padded to the alignment: its size is the file offset of the data section.
  [[nodiscard]] std::vector<std::byte> finish() const;

 private:
  template <typename T>
  void put(std::vector<std::byte>& out, T value) const;
  void put_string(std::vector<std::byte>& out, std::string_view text) const;
  template <typename T>
  void add_scalar(std::string_view key, ValueType type, T value);
  template <typename T>
  void add_array(std::string_view key, ValueType element, std::span<const T> values);

  static constexpr std::uint64_t kKeysBegin = 24;  // magic, version, and two counts

  std::uint32_t version_;
  bool big_endian_;
  std::uint64_t alignment_ = kDefaultAlignment;
  std::vector<std::byte> keys_;
  std::uint64_t key_count_ = 0;
  std::vector<std::byte> tensors_;
  std::uint64_t tensor_count_ = 0;
  std::uint64_t data_bytes_ = 0;
};

}  // namespace gguf_fuse::loader
