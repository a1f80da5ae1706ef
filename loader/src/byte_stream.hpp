// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "file_io.hpp"
#include "gguf_fuse/loader/source.hpp"

namespace gguf_fuse::loader::detail {

/// Bytes that come one after the other, in portions as they arrive.
class ByteStream {
 public:
  virtual ~ByteStream() = default;

  /// Some of the bytes that follow, at least one; 0 at the end. `out` is not empty.
  [[nodiscard]] virtual Result<std::size_t> read(std::span<std::byte> out) = 0;
  [[nodiscard]] virtual Result<void> check_unchanged() const { return {}; }
  virtual void cancel() noexcept {}
  [[nodiscard]] virtual const std::string& path() const = 0;
};

/// A pipe, or anything else that read(2) understands.
class DescriptorStream final : public ByteStream {
 public:
  DescriptorStream(FileDescriptor descriptor, std::string path);

  [[nodiscard]] Result<std::size_t> read(std::span<std::byte> out) override;
  void cancel() noexcept override;
  [[nodiscard]] const std::string& path() const override { return path_; }

  /// The first two bytes, or as many as there are; read() returns them again. Once, before the first read().
  [[nodiscard]] Result<std::span<const std::byte>> peek();

 private:
  [[nodiscard]] Result<std::size_t> receive(std::span<std::byte> out);
  [[nodiscard]] bool wait();

  FileDescriptor descriptor_;
  FileDescriptor wake_;  // readable once cancelled
  std::string path_;
  std::uint64_t position_ = 0;
  std::array<std::byte, 2> peeked_{};
  std::size_t peeked_begin_ = 0;
  std::size_t peeked_end_ = 0;
};

/// The bytes of a source with a size, from its beginning.
[[nodiscard]] std::unique_ptr<ByteStream> sized_stream(std::unique_ptr<Source> source);

/// What the gzip members in `compressed` hold.
[[nodiscard]] Result<std::unique_ptr<ByteStream>> gzip_stream(std::unique_ptr<ByteStream> compressed);

/// Whether a file that begins like this is gzip's.
[[nodiscard]] bool is_gzip(std::span<const std::byte> head);

/// A stream as a sequential source.
[[nodiscard]] std::unique_ptr<Source> stream_source(std::unique_ptr<ByteStream> stream);

}  // namespace gguf_fuse::loader::detail
