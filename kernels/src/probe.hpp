// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "gguf_fuse/kernels/device.hpp"

namespace gguf_fuse::kernels::detail {

/// Whether `dot` works on the device: empty, or why not. Asked once a process; what is a property of the machine is
/// kept in the cache folder. That a probe timed out, or found too little memory, threads or disk, is not: then what is
/// known of the driver decides, and the question is put again later.
///
/// A compiler that meets an instruction it cannot handle ends the process, so the question is put to another process.
/// A library cannot run itself again, and a fork() after the driver has started its threads may hang in the child; so
/// a small program does it: gguf-fuse-probe, which is looked for as $GGUF_FUSE_PROBE, beside the running program, and
/// where it was installed. Without it, only what is known to work is used.
[[nodiscard]] std::string probe_verdict(const DeviceInfo& info, DotProduct dot, const DeviceOptions& options);

/// What gguf-fuse-probe does: builds and runs a tiny kernel, and compares. Empty, or why the dot product does not work;
/// an error is no answer. May well end the process.
[[nodiscard]] GGUF_FUSE_EXPORT Result<std::string> run_probe(const DeviceInfo& info, DotProduct dot);

}  // namespace gguf_fuse::kernels::detail
