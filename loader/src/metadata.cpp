// SPDX-License-Identifier: MIT
#include "gguf_fuse/loader/metadata.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>

#include "byte_order.hpp"

namespace gguf_fuse::loader {
namespace {

struct ValueTypeRow {
  std::string_view name;
  std::size_t bytes;
};

// In the order of ValueType; names as gguf-dump prints them.
constexpr std::array<ValueTypeRow, 13> kValueTypes = {{{"uint8", 1},
                                                       {"int8", 1},
                                                       {"uint16", 2},
                                                       {"int16", 2},
                                                       {"uint32", 4},
                                                       {"int32", 4},
                                                       {"float32", 4},
                                                       {"bool", 1},
                                                       {"string", 0},
                                                       {"array", 0},
                                                       {"uint64", 8},
                                                       {"int64", 8},
                                                       {"float64", 8}}};

// Bytes from `begin` on. What the reader made is whole; a value that a caller made of fewer bytes holds nothing.
std::span<const std::byte> behind(std::span<const std::byte> bytes, std::size_t begin) {
  return bytes.subspan(std::min(begin, bytes.size()));
}

// Bytes that a value of `type` takes at the start of `bytes`; the header was validated, so they are there.
std::size_t stored_bytes(ValueType type, std::span<const std::byte> bytes, bool big_endian) {
  if (type == ValueType::String) return 8 + static_cast<std::size_t>(load<std::uint64_t>(bytes, big_endian));
  if (type != ValueType::Array) return value_type_bytes(type);
  const auto element = static_cast<ValueType>(load<std::uint32_t>(bytes, big_endian));
  const auto count = static_cast<std::size_t>(load<std::uint64_t>(behind(bytes, 4), big_endian));
  if (const std::size_t fixed = value_type_bytes(element); fixed != 0) return 12 + fixed * count;
  std::size_t total = 12;
  for (std::size_t i = 0; i < count; ++i) total += stored_bytes(element, behind(bytes, total), big_endian);
  return total;
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string shorten(std::string text, std::size_t max_length) {
  if (text.size() <= max_length) return text;
  std::size_t end = max_length > 3 ? max_length - 3 : 0;
  // Not inside a character.
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  text.resize(end);
  return text + "...";
}

const ValueTypeRow& row(ValueType type) {
  static constexpr ValueTypeRow kNone{"unknown", 0};
  const auto index = static_cast<std::size_t>(type);
  return index < kValueTypes.size() ? kValueTypes[index] : kNone;
}

}  // namespace

std::string_view value_type_name(ValueType type) { return row(type).name; }
std::size_t value_type_bytes(ValueType type) { return row(type).bytes; }

std::optional<std::uint64_t> Value::as_unsigned() const {
  switch (type_) {
    case ValueType::U8:
      return load<std::uint8_t>(bytes_, big_endian_);
    case ValueType::U16:
      return load<std::uint16_t>(bytes_, big_endian_);
    case ValueType::U32:
      return load<std::uint32_t>(bytes_, big_endian_);
    case ValueType::U64:
      return load<std::uint64_t>(bytes_, big_endian_);
    default: {
      const auto value = as_signed();
      return value && *value >= 0 ? std::optional(static_cast<std::uint64_t>(*value)) : std::nullopt;
    }
  }
}

std::optional<std::int64_t> Value::as_signed() const {
  switch (type_) {
    case ValueType::I8:
      return load<std::int8_t>(bytes_, big_endian_);
    case ValueType::I16:
      return load<std::int16_t>(bytes_, big_endian_);
    case ValueType::I32:
      return load<std::int32_t>(bytes_, big_endian_);
    case ValueType::I64:
      return load<std::int64_t>(bytes_, big_endian_);
    case ValueType::U8:
    case ValueType::U16:
    case ValueType::U32:
    case ValueType::U64: {
      const std::uint64_t value = *as_unsigned();
      const auto limit = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
      return value <= limit ? std::optional(static_cast<std::int64_t>(value)) : std::nullopt;
    }
    default:
      return std::nullopt;
  }
}

std::optional<double> Value::as_double() const {
  if (type_ == ValueType::F32) return load<float>(bytes_, big_endian_);
  if (type_ == ValueType::F64) return load<double>(bytes_, big_endian_);
  return std::nullopt;
}

std::optional<bool> Value::as_bool() const {
  if (type_ != ValueType::Bool) return std::nullopt;
  return !bytes_.empty() && bytes_.front() != std::byte{0};
}

std::optional<std::string_view> Value::as_string() const {
  if (type_ != ValueType::String) return std::nullopt;
  return text_of(behind(bytes_, 8));
}

ValueType Value::element_type() const {
  if (type_ != ValueType::Array) return ValueType::U8;
  return static_cast<ValueType>(load<std::uint32_t>(bytes_, big_endian_));
}

std::uint64_t Value::count() const {
  return type_ == ValueType::Array ? load<std::uint64_t>(behind(bytes_, 4), big_endian_) : 0;
}

Value::Iterator Value::elements() const {
  if (type_ != ValueType::Array) return {{}, ValueType::U8, 0, big_endian_};
  return {behind(bytes_, 12), element_type(), count(), big_endian_};
}

Value Value::Iterator::operator*() const {
  return {element_, rest_.first(std::min(stored_bytes(element_, rest_, big_endian_), rest_.size())), big_endian_};
}

Value::Iterator& Value::Iterator::operator++() {
  rest_ = behind(rest_, stored_bytes(element_, rest_, big_endian_));
  left_ -= left_ != 0;
  return *this;
}

std::string Value::display(std::size_t max_length) const {
  if (const auto text = as_string()) {
    // Escaping can quadruple a character; no more than is shown needs escaping.
    return shorten(fmt::format("\"{}\"", escape_text(text->substr(0, max_length + 1))), max_length);
  }
  if (const auto flag = as_bool()) return *flag ? "true" : "false";
  if (const auto number = as_double())
    return type_ == ValueType::F32 ? fmt::format("{}", static_cast<float>(*number)) : fmt::format("{}", *number);
  if (const auto number = as_unsigned()) return fmt::format("{}", *number);
  if (const auto number = as_signed()) return fmt::format("{}", *number);
  std::string text = fmt::format("[{} x {}]", value_type_name(element_type()), count());
  for (auto element = elements(); !element.done() && text.size() < max_length; ++element) {
    text += ' ';
    text += (*element).display(max_length);
  }
  return shorten(std::move(text), max_length);
}

Metadata::Metadata(HeaderBytes bytes, std::vector<std::uint64_t> begins, bool big_endian, std::string path)
    : bytes_(std::move(bytes)),
      begins_(std::move(begins)),
      sorted_(size()),
      big_endian_(big_endian),
      path_(std::move(path)) {
  std::iota(sorted_.begin(), sorted_.end(), 0U);
  std::sort(sorted_.begin(), sorted_.end(), [this](std::uint32_t a, std::uint32_t b) {
    return std::pair((*this)[a].key, a) < std::pair((*this)[b].key, b);
  });
}

Metadata::Entry Metadata::operator[](std::size_t index) const {
  if (index >= size()) return {.key = {}, .value = Value(ValueType::U8, {}, big_endian_), .record = {}, .offset = 0};
  const std::uint64_t begin = begins_[index];
  const auto record = std::span(*bytes_).subspan(begin, begins_[index + 1] - begin);
  const auto key_bytes = static_cast<std::size_t>(load<std::uint64_t>(record, big_endian_));
  const auto type = static_cast<ValueType>(load<std::uint32_t>(record.subspan(8 + key_bytes), big_endian_));
  return {.key = text_of(record.subspan(8, key_bytes)),
          .value = Value(type, record.subspan(12 + key_bytes), big_endian_),
          .record = record,
          .offset = begin};
}

std::optional<std::size_t> Metadata::index_of(std::string_view key) const {
  const auto found =
      std::lower_bound(sorted_.begin(), sorted_.end(), key,
                       [this](std::uint32_t index, std::string_view wanted) { return (*this)[index].key < wanted; });
  if (found == sorted_.end() || (*this)[*found].key != key) return std::nullopt;
  return *found;
}

std::optional<std::size_t> Metadata::duplicate() const {
  for (std::size_t i = 1; i < sorted_.size(); ++i) {
    if ((*this)[sorted_[i - 1]].key == (*this)[sorted_[i]].key) return sorted_[i];
  }
  return std::nullopt;
}

std::optional<Value> Metadata::find(std::string_view key) const {
  const auto index = index_of(key);
  return index ? std::optional((*this)[*index].value) : std::nullopt;
}

Error Metadata::missing(std::string_view key) const {
  return {.code = ErrorCode::MissingKey, .path = path_, .subject = std::string(key)};
}

Error Metadata::wrong_type(std::size_t index, std::string expected) const {
  const Entry entry = (*this)[index];
  std::string actual(value_type_name(entry.value.type()));
  if (entry.value.type() == ValueType::Array)
    actual += fmt::format(" of {}", value_type_name(entry.value.element_type()));
  return {.code = ErrorCode::WrongValueType,
          .path = path_,
          .subject = std::string(entry.key),
          .offset = entry.offset,
          .expected = std::move(expected),
          .actual = fmt::format("{} {}", actual, entry.value.display())};
}

Result<std::uint64_t> Metadata::get_unsigned(std::string_view key) const {
  const auto index = index_of(key);
  if (!index) return fail(missing(key));
  const auto value = (*this)[*index].value.as_unsigned();
  if (!value) return fail(wrong_type(*index, "an integer of at least 0"));
  return *value;
}

Result<std::string_view> Metadata::get_string(std::string_view key) const {
  const auto index = index_of(key);
  if (!index) return fail(missing(key));
  const auto value = (*this)[*index].value.as_string();
  if (!value) return fail(wrong_type(*index, "a string"));
  return *value;
}

Result<std::vector<std::uint64_t>> Metadata::get_unsigned_array(std::string_view key) const {
  const auto index = index_of(key);
  if (!index) return fail(missing(key));
  const Value array = (*this)[*index].value;
  if (array.type() != ValueType::Array) return fail(wrong_type(*index, "an array of integers"));
  std::vector<std::uint64_t> values;
  for (auto element = array.elements(); !element.done(); ++element) {
    const auto value = (*element).as_unsigned();
    if (!value) return fail(wrong_type(*index, "an array of integers of at least 0"));
    values.push_back(*value);
  }
  return values;
}

Result<std::vector<std::string_view>> Metadata::get_string_array(std::string_view key) const {
  const auto index = index_of(key);
  if (!index) return fail(missing(key));
  const Value array = (*this)[*index].value;
  if (array.type() != ValueType::Array || array.element_type() != ValueType::String) {
    return fail(wrong_type(*index, "an array of strings"));
  }
  std::vector<std::string_view> values;
  for (auto element = array.elements(); !element.done(); ++element) values.push_back(*(*element).as_string());
  return values;
}

std::span<const std::byte> Metadata::section() const {
  if (size() == 0) return {};
  return std::span(*bytes_).subspan(begins_.front(), begins_.back() - begins_.front());
}

}  // namespace gguf_fuse::loader
