// SPDX-License-Identifier: MIT
#pragma once

namespace gguf_fuse::jinja::detail {}

/// What private headers have is detail, and the room's sources say it unqualified. Users see nothing of it.
namespace gguf_fuse::jinja {
using namespace detail;
}  // namespace gguf_fuse::jinja
