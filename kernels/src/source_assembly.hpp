// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "gguf_fuse/kernels/program.hpp"
#include "gguf_fuse/loader/error.hpp"

namespace gguf_fuse::kernels::detail {

/// The text that the compiler gets for `spec`, with the prelude and `defines` in front of it: every `#include "x"` is
/// replaced by the embedded file x, with #line directives so that messages name files and lines. Includes are replaced
/// even where the preprocessor would skip them. Errors: KernelBuildFailed for a file that is not there or includes
/// itself.
[[nodiscard]] Result<std::string> assemble_source(const ProgramSpec& spec, const Defines& defines);

}  // namespace gguf_fuse::kernels::detail
