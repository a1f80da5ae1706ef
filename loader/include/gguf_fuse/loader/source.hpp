// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "gguf_fuse/loader/error.hpp"
#include "gguf_fuse/loader/namespace.hpp"

namespace gguf_fuse::loader {

/// Where bytes come from. Random-access sources may be read by several threads at once; sequential ones
/// (pipes, gzip streams) by one thread, each read starting at or after the end of the one before.
class GGUF_FUSE_EXPORT Source {
 public:
  virtual ~Source() = default;

  /// Fills `out` from `offset` exactly. Errors: Truncated, ReadFailed, BadGzip, InvalidArgument (going back in a
  /// stream).
  [[nodiscard]] virtual Result<void> read_at(std::uint64_t offset, std::span<std::byte> out) = 0;
  /// Fills `out` as far as there are bytes; their number, smaller than asked only at the end. What is given here serves
  /// sources with a size.
  [[nodiscard]] virtual Result<std::size_t> read_up_to(std::uint64_t offset, std::span<std::byte> out);
  /// The bytes themselves, present and without a copy, where the source has them in memory (LoadMode::Mmap); nothing
  /// where read_at is the way. They stay until the source goes. Errors: as read_at.
  [[nodiscard]] virtual Result<std::optional<std::span<const std::byte>>> view(std::uint64_t offset, std::size_t bytes);
  /// A view that is not needed any more need not count as the process's memory.
  virtual void release(std::span<const std::byte> view) noexcept;
  /// The number of bytes; nothing for streams.
  [[nodiscard]] virtual std::optional<std::uint64_t> size() const = 0;
  [[nodiscard]] virtual bool sequential() const = 0;
  /// A file descriptor whose file offsets equal the source's, for copies inside the kernel; -1 when there is none.
  [[nodiscard]] virtual int descriptor() const { return -1; }
  /// An error when the file's size or modification time is no longer what it was when opened.
  [[nodiscard]] virtual Result<void> check_unchanged() const { return {}; }
  /// Reads to the end: the number of bytes beyond `offset`, and whether all were zero.
  struct Tail {
    std::uint64_t bytes = 0;
    bool all_zero = true;
  };
  [[nodiscard]] virtual Result<Tail> read_tail(std::uint64_t offset);
  /// Makes a read that waits for a pipe, and all later ones, return Interrupted. From any thread or signal handler.
  virtual void cancel() noexcept {}
  /// The name the caller gave, for messages ("-" is standard input).
  [[nodiscard]] virtual const std::string& path() const = 0;
};

/// How a regular file is read (llama.cpp's --load-mode words).
enum class LoadMode : std::uint8_t {
  Read,    ///< pread through the page cache
  Mmap,    ///< memory mapping
  Direct,  ///< O_DIRECT, falling back to pread where the filesystem refuses
};

/// Opens a regular file, "-" (standard input: pipe or redirected file), or a gzip stream of either, found by its magic.
/// Errors: OpenFailed, NotAFile, ReadFailed, BadGzip.
[[nodiscard]] GGUF_FUSE_EXPORT Result<std::unique_ptr<Source>> open_source(const std::string& path,
                                                                           LoadMode mode = LoadMode::Read);

/// A source over bytes in memory (not owned).
[[nodiscard]] GGUF_FUSE_EXPORT std::unique_ptr<Source> memory_source(std::span<const std::byte> bytes,
                                                                     std::string path);

/// Copies a stream from `offset` 0 to its end into an unnamed file in $TMPDIR (or /tmp) and returns that as a
/// random-access source. Only for a source nothing was read from yet.
[[nodiscard]] GGUF_FUSE_EXPORT Result<std::unique_ptr<Source>> spool(std::unique_ptr<Source> stream);

}  // namespace gguf_fuse::loader
