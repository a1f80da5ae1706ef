// SPDX-License-Identifier: MIT
#pragma once

#include "frame.hpp"

namespace gguf_fuse::cli {

/// A driver compiles in this process. When its compiler ends the process (LLVM aborts or crashes when memory, threads
/// or the disk run short) or breaks off with its locks held, the user still reads which call it was and what to do, in
/// the form that `style` asks for then, and the process ends with code 1. `style` must outlive the process's work.
void watch_drivers(const ErrorStyle& style);

}  // namespace gguf_fuse::cli
