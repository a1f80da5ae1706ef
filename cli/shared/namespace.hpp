// SPDX-License-Identifier: MIT
#pragma once

namespace gguf_fuse::loader {}
namespace gguf_fuse::fuse {}
namespace gguf_fuse::kernels {}
namespace gguf_fuse::runtime {}

/// The programs say what the libraries have unqualified.
namespace gguf_fuse::cli {
using namespace loader;
using namespace fuse;
using namespace kernels;
using namespace runtime;
}  // namespace gguf_fuse::cli
