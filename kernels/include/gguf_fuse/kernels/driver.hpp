// SPDX-License-Identifier: MIT
#pragma once

#include "gguf_fuse/kernels/namespace.hpp"
#include "gguf_fuse/loader/export.hpp"

namespace gguf_fuse::kernels {

// A driver compiles in our process, and its compiler may end it (LLVM does so when memory, threads or the disk run
// short) or leave with an exception while it holds its locks. What a library makes of that is an error value; a program
// may do more, and these are for programs.

/// `call`: e.g. "clBuildProgram"; `reason`: what the exception says.
using DriverLostHandler = void (*)(const char* call, const char* reason) noexcept;

/// `handler` is called, by the thread that made the call, when an exception came out of an OpenCL call. From then on
/// the driver is not called any more (its locks may be held for ever): every call fails with CL_OUT_OF_HOST_MEMORY. But
/// threads that wait for those locks already will wait for ever, which is why a program had better end. Null: no
/// handler.
GGUF_FUSE_EXPORT void on_driver_lost(DriverLostHandler handler) noexcept;

/// The OpenCL call that this thread is in. In a thread that never called OpenCL, such as the driver's own, the last
/// call of any thread. Null: none. Signal handlers may ask.
[[nodiscard]] GGUF_FUSE_EXPORT const char* driver_call() noexcept;

}  // namespace gguf_fuse::kernels
