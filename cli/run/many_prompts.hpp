// SPDX-License-Identifier: MIT
#pragma once

#include <optional>

#include "run_report.hpp"

namespace gguf_fuse::cli {

/// What an engine that answers --prompts needs beside the usual.
void share_among_prompts(const RunOptions& options, StartOptions& start);

/// Answers --prompts: with a template as the first message of a conversation each, without one as texts to continue.
/// Prints each answer when it and all before it are complete, with --json as an object a line. What is wrong with one
/// prompt is told in its place. Returns the exit code of the first of those; 0 without. Errors: those of generate_many.
[[nodiscard]] Result<int> answer_prompts(const RunOptions& options, const std::optional<ChatTemplate>& chat_template,
                                         Engine& engine, Control& control, RunTotals& totals);

}  // namespace gguf_fuse::cli
