// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "byte_order.hpp"
#include "gguf_fuse/loader/container.hpp"

namespace gguf_fuse::loader::detail {

/// A cursor over the start of a source that keeps every byte it passed. Nothing is read or allocated for a length that
/// the file (or the metadata limit) has no room for.
class HeaderReader {
 public:
  HeaderReader(Source& source, const Limits& limits);

  [[nodiscard]] std::uint64_t position() const { return position_; }
  /// Bytes that may still follow: up to the end of the file where it is known, and to the metadata limit.
  [[nodiscard]] std::uint64_t left() const;
  [[nodiscard]] const Limits& limits() const { return limits_; }
  [[nodiscard]] bool big_endian() const { return big_endian_; }
  void set_big_endian(bool value) { big_endian_ = value; }

  /// Moves the cursor over `count` bytes. Errors: Truncated, MetadataTooLarge, and the source's.
  [[nodiscard]] Result<void> skip(std::uint64_t count);
  template <typename T>
  [[nodiscard]] Result<T> read() {
    GGUF_FUSE_CHECK(skip(sizeof(T)));
    return load<T>(bytes(position_ - sizeof(T), sizeof(T)), big_endian_);
  }
  /// Bytes already passed; valid until the cursor moves.
  [[nodiscard]] std::span<const std::byte> bytes(std::uint64_t begin, std::uint64_t count) const {
    return std::span(bytes_).subspan(begin, count);
  }
  [[nodiscard]] std::string_view text(std::uint64_t begin, std::uint64_t count) const;
  /// What was passed so far; the reader is empty afterwards.
  [[nodiscard]] std::vector<std::byte> take();

  /// An error at `offset` of this file.
  [[nodiscard]] Error error(ErrorCode code, std::uint64_t offset, std::string expected = {}, std::string actual = {},
                            std::string subject = {}) const;

 private:
  [[nodiscard]] Result<void> fill(std::uint64_t end);

  Source& source_;
  Limits limits_;
  std::uint64_t end_;  ///< of the file, or of what the metadata limit lets be read
  bool end_is_limit_;
  std::vector<std::byte> bytes_;
  std::uint64_t position_ = 0;
  bool big_endian_ = false;
};

}  // namespace gguf_fuse::loader::detail
