// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gguf_fuse/runtime/sampler.hpp"
#include "gguf_fuse/runtime/session.hpp"

namespace gguf_fuse::runtime {

struct GenerateOptions {
  std::int32_t tokens = -1;         ///< at most so many; -1: until the end of generation or of the context
  std::vector<std::string> stop{};  ///< texts that end it; they are not part of the answer
  bool ignore_end = false;          ///< go on behind end-of-generation tokens
  bool special = false;             ///< show special tokens
  /// Told how many tokens of the prompt are evaluated, after each micro-batch. May be empty.
  std::function<void(std::uint32_t)> prompt_progress{};
  /// Asked when the session is full, with what was generated; the last token of that is not part of the session yet.
  /// True when it made room (Session::truncate) and left a session that the last token continues; else the generation
  /// ends with ContextFull. An interrupted evaluation within it is a reason to finish too. May be empty.
  std::function<Result<bool>(std::span<const std::int32_t> generated)> make_room{};
};

enum class FinishReason : std::uint8_t { EndOfGeneration, StopText, TokenLimit, ContextFull, Cancelled };
/// "end_of_generation", "stop_text", "token_limit", "context_full" or "cancelled".
[[nodiscard]] GGUF_FUSE_EXPORT std::string_view finish_reason_name(FinishReason reason);

struct Generation {
  std::string text{};  ///< all that `show` got
  /// What was sampled, an end-of-generation token included. The last one is not part of the session yet: whoever goes
  /// on evaluates it first.
  std::vector<std::int32_t> tokens{};
  FinishReason reason = FinishReason::TokenLimit;
  std::uint32_t prompt_tokens = 0;  ///< evaluated
  double prompt_seconds = 0;
  double seconds = 0;  ///< of generating
};

/// Evaluates the prompt's tokens, then samples until something ends it. `show` (may be empty) gets the text as it
/// comes: whole characters only, and nothing that may turn out to be the beginning of a stop text. Without a prompt it
/// goes on behind the session's last token. A stop (the Control of the model's options) is a reason to finish, no
/// error; nothing is sampled after it. Errors: InvalidArgument (no prompt in an empty session), those of
/// Session::evaluate and Sampler::sample; what was shown and evaluated by then stays.
[[nodiscard]] GGUF_FUSE_EXPORT Result<Generation> generate(Session& session, const Tokenizer& tokenizer,
                                                           Sampler& sampler, std::span<const std::int32_t> prompt,
                                                           const GenerateOptions& options,
                                                           const std::function<void(std::string_view)>& show);

}  // namespace gguf_fuse::runtime
