// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "gguf_fuse/fuse/pipeline.hpp"
#include "namespace.hpp"

namespace gguf_fuse::cli {

/// A write beyond a limit or into a closed pipe becomes an error value instead of the end of the process.
void ignore_write_signals();

/// What a second signal does: nothing while files are being cleaned up, or the end of the process.
enum class SecondSignal : bool { Ignored, Ends };

/// From now on SIGINT and SIGTERM only cancel `control`, which must outlive the process's work.
void cancel_on_signals(Control& control, SecondSignal second = SecondSignal::Ignored);

/// A cancelled part is over and the program goes on: the next signal is a first one again.
void forget_signal(Control& control);

/// Waits for the first byte when `input` is `-` and a pipe: until there is something to clean up, signals may simply
/// end the process, which is what a user wants who forgot to redirect anything.
void wait_for_input(const std::string& input);

/// The first signal that cancelled; 0 when none came.
[[nodiscard]] int caught_signal();

}  // namespace gguf_fuse::cli
