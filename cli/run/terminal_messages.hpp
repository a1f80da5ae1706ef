// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

#include "message_source.hpp"

namespace gguf_fuse::cli {

/// A line editor on the terminal that is standard input, drawn on standard error; null where the terminal can do
/// nothing but lines (TERM=dumb) or standard error is none. A pasted text of several lines is one message.
[[nodiscard]] std::unique_ptr<MessageSource> open_terminal_messages(Control& control);

}  // namespace gguf_fuse::cli
