// SPDX-License-Identifier: MIT
#pragma once

#include <sys/stat.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "gguf_fuse/loader/error.hpp"

namespace gguf_fuse::loader::detail {

/// Owns an open descriptor.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int number) : number_(number) {}
  FileDescriptor(FileDescriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor();

  [[nodiscard]] int get() const { return number_; }
  [[nodiscard]] bool valid() const { return number_ >= 0; }
  /// A second descriptor of the same open file; invalid (with errno set) when that fails.
  [[nodiscard]] FileDescriptor duplicate() const;

 private:
  int number_ = -1;
};

/// What a system call returns that is made again as long as a signal interrupts it. Some filesystems say that of
/// failures, too, and would say it for ever.
template <typename Call>
[[nodiscard]] auto retried(const Call& call) {
  constexpr int kMost = 100;
  auto result = call();
  for (int i = 0; i < kMost && result < 0 && errno == EINTR; ++i) result = call();
  return result;
}

using Buffer = std::unique_ptr<std::byte[]>;

/// A buffer whose failure is a value; the content is not initialised.
[[nodiscard]] Result<Buffer> allocate(std::size_t bytes);

/// Reads until `out` is full or the file ends; the number of bytes read.
[[nodiscard]] Result<std::size_t> pread_fully(int descriptor, std::uint64_t offset, std::span<std::byte> out,
                                              const std::string& path);

/// Writes all of `bytes` or fails.
[[nodiscard]] Result<void> pwrite_fully(int descriptor, std::uint64_t offset, std::span<const std::byte> bytes,
                                        const std::string& path);

/// fsync; success where the filesystem has no such thing.
[[nodiscard]] Result<void> sync_file(int descriptor, const std::string& path);

/// Whether errno says that the filesystem or kernel lacks an operation. The words that filesystems have for it vary;
/// what speaks of lost bytes (EIO, ENOSPC, ESTALE, ...) is not among them.
[[nodiscard]] bool is_unsupported(int error_number);

/// What is not a regular file, in words: "a directory".
[[nodiscard]] std::string file_kind(mode_t mode);
[[nodiscard]] Error not_a_file(const std::string& path, mode_t mode, std::string hint = {});

[[nodiscard]] Error truncated(const std::string& path, std::uint64_t offset, std::uint64_t expected,
                              std::uint64_t actual);

}  // namespace gguf_fuse::loader::detail
