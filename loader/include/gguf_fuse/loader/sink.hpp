// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "gguf_fuse/loader/error.hpp"
#include "gguf_fuse/loader/source.hpp"

namespace gguf_fuse::loader {

/// Where bytes go. Random-access sinks take writes at any offset from several threads; sequential ones take them in
/// order. A sink that is destroyed before commit() leaves nothing behind.
class GGUF_FUSE_EXPORT Sink {
 public:
  virtual ~Sink() = default;

  [[nodiscard]] virtual Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) = 0;
  [[nodiscard]] virtual bool sequential() const = 0;
  /// As Source::descriptor.
  [[nodiscard]] virtual int descriptor() const { return -1; }
  /// Hints that [offset, offset + bytes) is complete, so that writing it back may begin.
  virtual void settle(std::uint64_t offset, std::uint64_t bytes);
  /// Reads back what was written, before commit(): a source over the written bytes, or null when that is impossible.
  [[nodiscard]] virtual std::unique_ptr<Source> read_back() { return nullptr; }
  /// Makes everything durable and visible under the final name.
  [[nodiscard]] virtual Result<void> commit() = 0;
  /// What did not go as it should and does the output no harm, a line each; complete after commit().
  [[nodiscard]] virtual std::vector<std::string> notes() const { return {}; }
  [[nodiscard]] virtual const std::string& path() const = 0;
};

struct FileSinkOptions {
  bool replace = false;     ///< an existing output may be replaced
  std::uint64_t bytes = 0;  ///< final size, tested against free space and limits first
};

/// A file that appears under `path` only when complete: `.NAME.gguf-fuse.PID` in the same folder, then fsync, rename,
/// fsync of the folder (a failure of the last is a note). Errors: OutputExists, NoSpace, OpenFailed, and from commit()
/// SyncFailed, RenameFailed.
[[nodiscard]] GGUF_FUSE_EXPORT Result<std::unique_ptr<Sink>> file_sink(const std::string& path,
                                                                       const FileSinkOptions& options);

/// Standard output or any other open descriptor (not owned). Errors: OutputIsTerminal.
[[nodiscard]] GGUF_FUSE_EXPORT Result<std::unique_ptr<Sink>> descriptor_sink(int descriptor, std::string path);

/// Compresses into `inner`; `level` is zlib's. The compressed bytes depend on the input and the level alone.
/// Null for a null sink.
[[nodiscard]] GGUF_FUSE_EXPORT std::unique_ptr<Sink> gzip_sink(std::unique_ptr<Sink> inner, int level = 1);

/// An unnamed file in $TMPDIR for what must be complete before it can be streamed; read_back() gives its content.
[[nodiscard]] GGUF_FUSE_EXPORT Result<std::unique_ptr<Sink>> temporary_sink(std::uint64_t bytes);

/// Removes temporaries of `path` whose process is gone; returns the names removed.
[[nodiscard]] GGUF_FUSE_EXPORT std::vector<std::string> remove_stale_temporaries(const std::string& path);

/// True when both names lead to the same file (device and inode), through links of any kind.
[[nodiscard]] GGUF_FUSE_EXPORT bool same_file(const std::string& a, const std::string& b);

}  // namespace gguf_fuse::loader
