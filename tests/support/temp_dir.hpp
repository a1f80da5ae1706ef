// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "support/namespace.hpp"

namespace gguf_fuse::test_support {

/// A new empty folder in the system's folder for temporary files, removed with everything in it at the end of the
/// scope.
class TempDir {
 public:
  TempDir();
  /// In `parent` instead, for tests that need a particular filesystem.
  explicit TempDir(const std::filesystem::path& parent);
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// The path of `name` inside, as the library's functions take it.
  [[nodiscard]] std::string file(std::string_view name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace gguf_fuse::test_support
