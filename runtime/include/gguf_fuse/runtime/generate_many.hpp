// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "gguf_fuse/runtime/generate.hpp"

namespace gguf_fuse::runtime {

struct GenerateManyOptions {
  /// As for one prompt; each answer gets its own limit and its own stop texts. Without prompt_progress and make_room.
  GenerateOptions generate{};
  SamplerOptions sampler{};    ///< of each answer: a sampler of its own, with the same seed
  std::uint32_t parallel = 1;  ///< the most prompts that are answered at a time
  std::uint32_t context = 0;   ///< the most tokens of one prompt and its answer; 0: as many as a session can have
};

/// What all answers took together.
struct GenerateManyReport {
  std::uint32_t shared_tokens = 0;  ///< the beginning that all prompts share, and that was evaluated once; 0: none
  std::uint64_t prompt_tokens = 0;  ///< evaluated
  std::uint64_t tokens = 0;         ///< sampled
  std::uint32_t restarts = 0;       ///< how often an answer had to give back its place in the cache and wait
  double seconds = 0;
  bool stopped = false;  ///< by the Control of the model's options: not all were answered
};

/// Answers prompts, given as their tokens, as generate() would each alone, at most options.parallel at a time; where
/// one ends the next one begins. Where all begin with the same 64 tokens at least, those are evaluated once. When the
/// KV cache has no place for all that were begun, the last one waits, and what was computed of it is computed again.
///
/// `done` gets each prompt's number and answer when it is complete, in the order in which they end; what is wrong with
/// one prompt alone is its error: ContextFull (longer than the context), InvalidArgument (no tokens), BadToken,
/// NotFinite. After a stop it is not called any more. In a Generation seconds are those from the prompt's begin to its
/// evaluation, and from there to the answer's end, whatever else was computed meanwhile.
///
/// The engine needs options.parallel sessions, and one more to share a beginning: without that one nothing is shared.
/// Errors: InvalidArgument (too few sessions, parallel = 0), those of Engine::evaluate that are no prompt's own.
[[nodiscard]] GGUF_FUSE_EXPORT Result<GenerateManyReport> generate_many(
    Engine& engine, const Tokenizer& tokenizer, std::span<const std::vector<std::int32_t>> prompts,
    const GenerateManyOptions& options, const std::function<void(std::size_t, Result<Generation>)>& done);

}  // namespace gguf_fuse::runtime
