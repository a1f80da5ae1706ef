// SPDX-License-Identifier: MIT
#include "metadata_reader.hpp"

#include <fmt/format.h>

#include "utf8.hpp"

namespace gguf_fuse::loader::detail {
namespace {

Result<std::uint64_t> read_key(HeaderReader& reader) {
  const std::uint64_t begin = reader.position();
  GGUF_FUSE_ASSIGN(const std::uint64_t length, reader.read<std::uint64_t>());
  if (length == 0 || length > reader.limits().key_bytes) {
    return fail(reader.error(ErrorCode::BadKey, begin, fmt::format("1 to {} bytes", reader.limits().key_bytes),
                             fmt::format("{}", length)));
  }
  GGUF_FUSE_CHECK(reader.skip(length));
  const std::string_view key = reader.text(begin + 8, length);
  if (!is_clean_utf8(key)) {
    return fail(reader.error(ErrorCode::BadKey, begin, "UTF-8 without NUL", fmt::format("\"{}\"", escape_text(key))));
  }
  return length;
}

// One value, on the way to the next: its key is what errors name.
class ValueReader {
 public:
  ValueReader(HeaderReader& reader, std::uint64_t key_begin, std::uint64_t key_length)
      : reader_(reader), key_begin_(key_begin), key_length_(key_length) {}

  Result<ValueType> read_type() {
    const std::uint64_t begin = reader_.position();
    GGUF_FUSE_ASSIGN(const std::uint32_t type, reader_.read<std::uint32_t>());
    if (type > static_cast<std::uint32_t>(ValueType::F64)) {
      return fail(error(ErrorCode::BadValueType, begin, "0 to 12", fmt::format("{}", type)));
    }
    return static_cast<ValueType>(type);
  }

  Result<void> pass_value(ValueType type, std::uint32_t depth) {
    switch (type) {
      case ValueType::String:
        return pass_string();
      case ValueType::Array:
        return pass_array(depth + 1);
      case ValueType::Bool:
        return pass_bools(1);
      default:
        return reader_.skip(value_type_bytes(type));
    }
  }

 private:
  [[nodiscard]] Error error(ErrorCode code, std::uint64_t begin, std::string expected, std::string actual) const {
    return reader_.error(code, begin, std::move(expected), std::move(actual),
                         std::string(reader_.text(key_begin_, key_length_)));
  }

  Result<void> pass_string() {
    const std::uint64_t begin = reader_.position();
    GGUF_FUSE_ASSIGN(const std::uint64_t length, reader_.read<std::uint64_t>());
    if (length > reader_.limits().string_bytes || length > reader_.left()) {
      const std::uint64_t most = std::min(reader_.limits().string_bytes, reader_.left());
      return fail(
          error(ErrorCode::StringTooLong, begin, fmt::format("at most {} bytes", most), fmt::format("{}", length)));
    }
    return reader_.skip(length);
  }

  Result<void> pass_bools(std::uint64_t count) {
    const std::uint64_t begin = reader_.position();
    GGUF_FUSE_CHECK(reader_.skip(count));
    const auto values = reader_.bytes(begin, count);
    const auto bad = std::find_if(values.begin(), values.end(), [](std::byte value) { return value > std::byte{1}; });
    if (bad == values.end()) return {};
    return fail(error(ErrorCode::BadBool, begin + static_cast<std::uint64_t>(bad - values.begin()), "0 or 1",
                      fmt::format("{}", static_cast<unsigned>(*bad))));
  }

  Result<void> pass_array(std::uint32_t depth) {
    const std::uint64_t begin = reader_.position();
    if (depth > reader_.limits().array_depth) {
      return fail(error(ErrorCode::ArrayTooDeep, begin, fmt::format("at most {} levels", reader_.limits().array_depth),
                        "more"));
    }
    GGUF_FUSE_ASSIGN(const ValueType element, read_type());
    GGUF_FUSE_ASSIGN(const std::uint64_t count, reader_.read<std::uint64_t>());
    const std::uint64_t least = element == ValueType::Array    ? 12
                                : element == ValueType::String ? 8
                                                               : value_type_bytes(element);
    if (count > reader_.left() / least) {
      return fail(error(ErrorCode::ArrayTooLong, begin, fmt::format("at most {} elements", reader_.left() / least),
                        fmt::format("{}", count)));
    }
    if (element == ValueType::Bool) return pass_bools(count);
    if (element != ValueType::String && element != ValueType::Array) return reader_.skip(count * least);
    for (std::uint64_t i = 0; i < count; ++i) GGUF_FUSE_CHECK(pass_value(element, depth));
    return {};
  }

  HeaderReader& reader_;
  std::uint64_t key_begin_;
  std::uint64_t key_length_;
};

}  // namespace

Result<std::vector<std::uint64_t>> read_metadata_records(HeaderReader& reader, std::uint64_t count) {
  std::vector<std::uint64_t> begins;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t begin = reader.position();
    begins.push_back(begin);
    GGUF_FUSE_ASSIGN(const std::uint64_t key_length, read_key(reader));
    ValueReader value(reader, begin + 8, key_length);
    GGUF_FUSE_ASSIGN(const ValueType type, value.read_type());
    GGUF_FUSE_CHECK(value.pass_value(type, 0));
  }
  begins.push_back(reader.position());
  return begins;
}

}  // namespace gguf_fuse::loader::detail
