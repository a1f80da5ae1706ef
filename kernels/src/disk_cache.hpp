// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "gguf_fuse/loader/error.hpp"

namespace gguf_fuse::kernels::detail {

/// Files that may vanish or be damaged at any time: what is read from here is whole and belongs to the key, or it is
/// not there. Several processes may use one folder.
class DiskCache {
 public:
  /// Entries lie in `folder`/`kind`; an empty folder stores nothing.
  DiskCache(std::string folder, std::string kind);

  /// 32 hexadecimal digits for everything that the content depends on.
  [[nodiscard]] static std::string key(std::string_view what);

  /// The content, or nothing. Damage (a cut file, a flipped bit, another key's file) is told in `*damage`.
  [[nodiscard]] std::optional<std::string> load(const std::string& key, std::string* damage = nullptr) const;
  /// Replaces the entry in one step. Errors: OpenFailed, WriteFailed, RenameFailed, NoSpace.
  [[nodiscard]] Result<void> store(const std::string& key, std::string_view content) const;

 private:
  [[nodiscard]] std::string path(const std::string& key) const { return folder_ + "/" + key + ".bin"; }

  std::string folder_;  ///< empty: no cache
};

}  // namespace gguf_fuse::kernels::detail
