// SPDX-License-Identifier: MIT
#pragma once

#include "gguf_fuse/runtime/chat.hpp"
#include "run_options.hpp"
#include "run_report.hpp"

namespace gguf_fuse::cli {

/// The template named by --chat-template, or the model's own. Errors: those of ChatTemplate::parse and
/// ChatTemplate::builtin.
[[nodiscard]] Result<ChatTemplate> conversation_template(const RunOptions& options, RunnableModel& model);

/// Reads messages from standard input and answers them until it ends. Returns the signal that ended it, or 0. Errors:
/// those of generate and tokenize.
[[nodiscard]] Result<int> converse(const RunOptions& options, const ChatTemplate& chat_template, Engine& engine,
                                   Control& control, RunTotals& totals);

/// --verbose-prompt, on standard error.
void list_prompt(const Tokenizer& tokenizer, const std::vector<std::int32_t>& tokens);

/// Prints text at once, and cancels when nobody reads it any more.
void speak(std::string_view text, Control& control);

/// What to say about the end of an answer; empty when it is what one expects.
[[nodiscard]] std::string finish_text(const Generation& generation, const Session& session);

}  // namespace gguf_fuse::cli
