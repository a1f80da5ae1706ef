// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <span>
#include <string>

#include "file_io.hpp"
#include "gguf_fuse/loader/source.hpp"

namespace gguf_fuse::loader::detail {

/// A regular file that is being written, by several threads and in any order.
class OutputFile {
 public:
  /// `path` is for messages; `space_hint` replaces the hint of NoSpace when set.
  OutputFile(FileDescriptor descriptor, std::string path, std::string space_hint = {});

  /// FileTooLarge when a file of `end` bytes is beyond this process's limit.
  [[nodiscard]] Result<void> check_limit(std::uint64_t end) const;
  [[nodiscard]] Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) const;
  void settle(std::uint64_t offset, std::uint64_t bytes) const;
  /// What the file holds now; null when out of descriptors.
  [[nodiscard]] std::unique_ptr<Source> read_back() const;

  [[nodiscard]] const FileDescriptor& descriptor() const { return descriptor_; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  [[nodiscard]] Error with_space(Error error, std::uint64_t wanted) const;

  FileDescriptor descriptor_;
  std::string path_;
  std::string space_hint_;
  std::uint64_t limit_;
};

/// Bytes this process may use on the filesystem of an open file or folder; nothing where it does not tell.
[[nodiscard]] std::optional<std::uint64_t> free_space(int descriptor);

[[nodiscard]] Error no_space(const std::string& path, std::uint64_t wanted, std::uint64_t available,
                             std::string hint = {});

/// A file without a name in $TMPDIR (or /tmp), and the folder.
struct UnnamedFile {
  FileDescriptor descriptor;
  std::string folder;
};
[[nodiscard]] Result<UnnamedFile> unnamed_file();
inline constexpr const char* kTemporarySpaceHint = "set TMPDIR to a folder with more room";

}  // namespace gguf_fuse::loader::detail
