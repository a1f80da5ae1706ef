// SPDX-License-Identifier: MIT
#pragma once

namespace gguf_fuse::loader {}
namespace gguf_fuse::fuse {}
namespace gguf_fuse::kernels {}
namespace gguf_fuse::runtime::detail {}

/// The room says what the rooms below have unqualified, and its sources what their private headers (detail) have.
namespace gguf_fuse::runtime {
using namespace loader;
using namespace fuse;
using namespace kernels;
using namespace detail;
}  // namespace gguf_fuse::runtime
