// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>

#include "gguf_fuse/loader/source.hpp"

namespace gguf_fuse::loader {

/// Share (0 to 1) of a regular file's bytes that lie in the page cache, estimated from samples all over it, which takes
/// well under a millisecond and changes nothing. Linux tells the truth about files that the caller owns or may write,
/// and says of all others that they are there. Nothing when it cannot be told: no regular file, or an empty one.
[[nodiscard]] GGUF_FUSE_EXPORT std::optional<double> cached_share(const std::string& path);

/// How a model that may be split is best read once, from front to back: through the page cache when most of it is
/// there, past it when not. `path` is that of open_model; what is no regular file (or cannot be looked at) is Read.
[[nodiscard]] GGUF_FUSE_EXPORT LoadMode fastest_load_mode(const std::string& path);

}  // namespace gguf_fuse::loader
