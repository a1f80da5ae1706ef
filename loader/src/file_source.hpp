// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>

#include "file_io.hpp"
#include "gguf_fuse/loader/source.hpp"

namespace gguf_fuse::loader::detail {

/// Random access to an open regular file, as large as it is now. `path` is for messages only.
[[nodiscard]] Result<std::unique_ptr<Source>> file_source(FileDescriptor descriptor, std::string path,
                                                          LoadMode mode = LoadMode::Read);

}  // namespace gguf_fuse::loader::detail
