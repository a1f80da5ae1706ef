// SPDX-License-Identifier: MIT
#include "support/temp_dir.hpp"

#include <cerrno>
#include <cstdlib>
#include <system_error>

namespace gguf_fuse::test_support {

TempDir::TempDir() : TempDir(std::filesystem::temp_directory_path()) {}

TempDir::TempDir(const std::filesystem::path& parent) {
  std::string pattern = (parent / "gguf-fuse-test-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::system_error(errno, std::generic_category(), pattern);
  path_ = pattern;
}

TempDir::~TempDir() {
  // A test may have taken the folder's permissions away; the leftovers are then the system's to clean.
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace gguf_fuse::test_support
