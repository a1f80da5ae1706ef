// SPDX-License-Identifier: MIT
#include "header_reader.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace gguf_fuse::loader::detail {
namespace {

// One step of reading: what is allocated ahead of the bytes that prove it is needed.
constexpr std::uint64_t kReadAhead = std::uint64_t{256} << 10;

}  // namespace

HeaderReader::HeaderReader(Source& source, const Limits& limits) : source_(source), limits_(limits) {
  const auto size = source.size();
  end_is_limit_ = !size || *size > limits.metadata_bytes;
  end_ = end_is_limit_ ? limits.metadata_bytes : *size;
}

std::uint64_t HeaderReader::left() const { return end_ - position_; }

std::string_view HeaderReader::text(std::uint64_t begin, std::uint64_t count) const {
  const auto span = bytes(begin, count);
  return {reinterpret_cast<const char*>(span.data()), span.size()};
}

Error HeaderReader::error(ErrorCode code, std::uint64_t offset, std::string expected, std::string actual,
                          std::string subject) const {
  return {.code = code,
          .path = source_.path(),
          .subject = std::move(subject),
          .offset = offset,
          .expected = std::move(expected),
          .actual = std::move(actual)};
}

Result<void> HeaderReader::skip(std::uint64_t count) {
  if (count > left()) {
    const auto code = end_is_limit_ ? ErrorCode::MetadataTooLarge : ErrorCode::Truncated;
    return fail(error(code, position_, fmt::format("{} more bytes", count), fmt::format("{}", left())));
  }
  GGUF_FUSE_CHECK(fill(position_ + count));
  position_ += count;
  return {};
}

Result<void> HeaderReader::fill(std::uint64_t end) {
  while (bytes_.size() < end) {
    const std::uint64_t have = bytes_.size();
    // A stream cannot give back what was read too much, so it is asked for no more than is needed.
    const std::uint64_t wanted =
        source_.sequential() ? std::min(end - have, kReadAhead) : std::min(kReadAhead, end_ - have);
    bytes_.resize(have + wanted);
    GGUF_FUSE_CHECK(source_.read_at(have, std::span(bytes_).subspan(have)));
  }
  return {};
}

std::vector<std::byte> HeaderReader::take() {
  bytes_.resize(position_);
  bytes_.shrink_to_fit();
  return std::move(bytes_);
}

}  // namespace gguf_fuse::loader::detail
