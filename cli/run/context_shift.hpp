// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>

#include "gguf_fuse/runtime/session.hpp"
#include "namespace.hpp"

namespace gguf_fuse::cli {

/// Makes the session hold as long a beginning of `tokens` as they have in common, and returns the rest: at least the
/// last one, whose logits are wanted. Errors: those of Session::truncate.
[[nodiscard]] Result<std::span<const std::int32_t>> reuse_tokens(Session& session,
                                                                 std::span<const std::int32_t> tokens);

/// Drops the older half of the tokens behind the first `keep`, and evaluates those that stay at their new positions.
/// Returns how many were dropped; 0, and nothing was changed, when all are to be kept. Errors: those of
/// Session::truncate and evaluate.
[[nodiscard]] Result<std::size_t> shift_context(Session& session, std::size_t keep);

/// Shows on a terminal how much of a long prompt is computed, in a line of standard error that is erased at the end.
class PromptProgress {
 public:
  explicit PromptProgress(std::size_t tokens);
  ~PromptProgress();
  PromptProgress(const PromptProgress&) = delete;
  PromptProgress& operator=(const PromptProgress&) = delete;

  void show(std::size_t done) const;

 private:
  std::size_t tokens_;
  bool shown_;
};

}  // namespace gguf_fuse::cli
