// SPDX-License-Identifier: MIT
#include "gguf_fuse/loader/header_writer.hpp"

#include <fmt/format.h>

#include <array>
#include <bit>

#include "byte_order.hpp"
#include "checked_math.hpp"

namespace gguf_fuse::loader {
namespace {

void append(std::vector<std::byte>& out, std::span<const std::byte> bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

}  // namespace

template <typename T>
void HeaderWriter::put(std::vector<std::byte>& out, T value) const {
  std::array<std::byte, sizeof(T)> raw{};
  store(std::span<std::byte>(raw), value, big_endian_);
  append(out, raw);
}

void HeaderWriter::put_string(std::vector<std::byte>& out, std::string_view text) const {
  put(out, static_cast<std::uint64_t>(text.size()));
  append(out, std::as_bytes(std::span(text)));
}

template <typename T>
void HeaderWriter::add_scalar(std::string_view key, ValueType type, T value) {
  std::array<std::byte, sizeof(T)> raw{};
  store(std::span<std::byte>(raw), value, big_endian_);
  add_value(key, type, raw);
}

template <typename T>
void HeaderWriter::add_array(std::string_view key, ValueType element, std::span<const T> values) {
  std::vector<std::byte> value;
  put(value, static_cast<std::uint32_t>(element));
  put(value, static_cast<std::uint64_t>(values.size()));
  for (const T& item : values) put(value, item);
  add_value(key, ValueType::Array, value);
}

void HeaderWriter::add_record(std::span<const std::byte> record) { add_records(record, 1); }

void HeaderWriter::add_records(std::span<const std::byte> section, std::uint64_t count) {
  append(keys_, section);
  key_count_ += count;
}

void HeaderWriter::add_value(std::string_view key, ValueType type, std::span<const std::byte> value) {
  put_string(keys_, key);
  put(keys_, static_cast<std::uint32_t>(type));
  append(keys_, value);
  ++key_count_;
}

void HeaderWriter::add_u8(std::string_view key, std::uint8_t value) { add_scalar(key, ValueType::U8, value); }
void HeaderWriter::add_u16(std::string_view key, std::uint16_t value) { add_scalar(key, ValueType::U16, value); }
void HeaderWriter::add_u32(std::string_view key, std::uint32_t value) { add_scalar(key, ValueType::U32, value); }
void HeaderWriter::add_u64(std::string_view key, std::uint64_t value) { add_scalar(key, ValueType::U64, value); }
void HeaderWriter::add_i32(std::string_view key, std::int32_t value) { add_scalar(key, ValueType::I32, value); }
void HeaderWriter::add_f32(std::string_view key, float value) { add_scalar(key, ValueType::F32, value); }
void HeaderWriter::add_bool(std::string_view key, bool value) {
  add_scalar(key, ValueType::Bool, static_cast<std::uint8_t>(value));
}

void HeaderWriter::add_string(std::string_view key, std::string_view value) {
  std::vector<std::byte> stored;
  put_string(stored, value);
  add_value(key, ValueType::String, stored);
}

void HeaderWriter::add_u8_array(std::string_view key, std::span<const std::byte> values) {
  add_array(key, ValueType::U8, values);
}
void HeaderWriter::add_u32_array(std::string_view key, std::span<const std::uint32_t> values) {
  add_array(key, ValueType::U32, values);
}
void HeaderWriter::add_i32_array(std::string_view key, std::span<const std::int32_t> values) {
  add_array(key, ValueType::I32, values);
}
void HeaderWriter::add_u64_array(std::string_view key, std::span<const std::uint64_t> values) {
  add_array(key, ValueType::U64, values);
}
void HeaderWriter::add_f32_array(std::string_view key, std::span<const float> values) {
  add_array(key, ValueType::F32, values);
}
void HeaderWriter::add_bool_array(std::string_view key, std::span<const bool> values) {
  add_array(key, ValueType::Bool, values);
}

void HeaderWriter::add_string_array(std::string_view key, std::span<const std::string_view> values) {
  std::vector<std::byte> stored;
  put(stored, static_cast<std::uint32_t>(ValueType::String));
  put(stored, static_cast<std::uint64_t>(values.size()));
  for (const std::string_view value : values) put_string(stored, value);
  add_value(key, ValueType::Array, stored);
}

Result<void> HeaderWriter::set_alignment(std::uint64_t alignment) {
  if (!std::has_single_bit(alignment) || alignment > Limits{}.alignment) {
    return fail({.code = ErrorCode::BadAlignment,
                 .expected = fmt::format("a power of two up to {}", Limits{}.alignment),
                 .actual = fmt::format("{}", alignment)});
  }
  alignment_ = alignment;
  return {};
}

Result<std::uint64_t> HeaderWriter::add_tensor(std::string_view name, const TensorType& type,
                                               std::uint32_t dimension_count, const Dimensions& dims) {
  if (dimension_count > dims.size()) {
    return fail({.code = ErrorCode::BadDimensions,
                 .subject = std::string(name),
                 .expected = "0 to 4",
                 .actual = fmt::format("{}", dimension_count)});
  }
  const std::uint64_t offset = align_up(data_bytes_, alignment_);
  const auto bytes = tensor_bytes(type, dims);
  // A whole alignment below the limit, so that the padding behind it fits as well.
  const auto end = bytes ? checked_add(offset + alignment_, *bytes) : std::nullopt;
  if (!end) {
    return fail({.code = ErrorCode::SizeOverflow,
                 .subject = std::string(name),
                 .expected = "data that ends below 2^63",
                 .actual = fmt::format("{} of {} from byte {}", fmt::join(dims, " x "), type.name, offset)});
  }
  put_string(tensors_, name);
  put(tensors_, dimension_count);
  for (std::uint32_t i = 0; i < dimension_count; ++i) put(tensors_, dims[i]);
  put(tensors_, type.id);
  put(tensors_, offset);
  ++tensor_count_;
  data_bytes_ = offset + *bytes;
  return offset;
}

std::vector<std::byte> HeaderWriter::finish() const {
  std::vector<std::byte> header;
  append(header, std::as_bytes(std::span("GGUF", 4)));
  put(header, version_);
  put(header, tensor_count_);
  put(header, key_count_);
  append(header, keys_);
  append(header, tensors_);
  header.resize(align_up(header.size(), alignment_));
  return header;
}

}  // namespace gguf_fuse::loader
