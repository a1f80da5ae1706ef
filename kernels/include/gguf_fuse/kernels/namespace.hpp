// SPDX-License-Identifier: MIT
#pragma once

namespace gguf_fuse::loader {}
namespace gguf_fuse::kernels::detail {}

/// The room says what loader has unqualified, and its sources what their private headers (detail) have.
namespace gguf_fuse::kernels {
using namespace loader;
using namespace detail;
}  // namespace gguf_fuse::kernels
