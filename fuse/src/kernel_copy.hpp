// SPDX-License-Identifier: MIT
#pragma once

#include "gather.hpp"

namespace gguf_fuse::fuse::detail {

/// Whether copy_file_range is likely to beat reading and writing from `source` to `sink`: only where the filesystem
/// copies on its own side (docs/performance.md has the measurements).
[[nodiscard]] bool kernel_copy_wins(const Source& source, const Sink& sink);

/// Copies [begin, end) of the output file inside the kernel; header and padding are written. False when the filesystems
/// cannot do that, and nothing may be assumed of what was written.
[[nodiscard]] Result<bool> kernel_copy(const PlannedFile& file, Model& model, Sink& sink, std::uint64_t begin,
                                       std::uint64_t end);

}  // namespace gguf_fuse::fuse::detail
