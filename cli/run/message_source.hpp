// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "gguf_fuse/fuse/pipeline.hpp"
#include "namespace.hpp"

namespace gguf_fuse::cli {

/// What the first Ctrl-C at an empty line is answered.
inline constexpr std::string_view kHowToEnd = "Ctrl-C again, Ctrl-D or /exit ends the conversation\n";

/// Where the messages of a conversation come from.
class MessageSource {
 public:
  MessageSource() = default;
  virtual ~MessageSource() = default;
  MessageSource(const MessageSource&) = delete;
  MessageSource& operator=(const MessageSource&) = delete;

  /// Waits for the next message, which may hold newlines. Nothing at the end of the input, or when a signal came that
  /// ends the program.
  [[nodiscard]] virtual std::optional<std::string> next() = 0;
  /// Whether a person types: then a signal that ended an answer is over, and what there is to know is told.
  [[nodiscard]] virtual bool is_interactive() const = 0;
  /// Whether lines are edited here, with a history.
  [[nodiscard]] virtual bool edits() const { return false; }
};

/// Standard input: a line editor with a history where it is a terminal, else its lines. Signals that only end a line
/// are taken back from `control`, which must outlive the source. `simple`: lines always.
[[nodiscard]] std::unique_ptr<MessageSource> open_messages(Control& control, bool simple);

}  // namespace gguf_fuse::cli
