// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "gguf_fuse/runtime/session.hpp"

namespace gguf_fuse::runtime {

/// llama.cpp's names, defaults and order: penalties, top-k, top-p, min-p, temperature.
struct SamplerOptions {
  std::uint32_t seed = 0;
  float temperature = 0.8F;        ///< 0 or less: the most likely token, the lowest id among equals
  std::int32_t top_k = 40;         ///< 0 or less: all
  float top_p = 0.95F;             ///< as few as sum up to this probability, at least one; 1 or more: all
  float min_p = 0.05F;             ///< at least this share of the largest probability; 0 or less: all
  std::int32_t penalty_last = 64;  ///< tokens that penalties look back; 0: none, negative: all
  float repeat_penalty = 1;        ///< divides positive logits and multiplies others; 1: none
  float frequency_penalty = 0;     ///< subtracted once for each time that the token came
  float presence_penalty = 0;      ///< subtracted when the token came at all
};

/// Chooses the next token of a session. Equal seeds and logits give equal tokens on every machine: the generator is
/// mt19937, two draws make one number of 53 bits, and a token is found in the running sum of the weights.
class GGUF_FUSE_EXPORT Sampler {
 public:
  explicit Sampler(const SamplerOptions& options);

  /// How many candidates decide, at most 256; 0: more than the best few can be chosen. Where the session's devices sort
  /// fewer (SessionOptions::candidates) all logits come back to the host.
  [[nodiscard]] std::uint32_t candidates() const;
  /// The next token after the session's last one; penalties look back at the session's tokens. Errors: those of
  /// Session::top and logits.
  [[nodiscard]] Result<std::int32_t> sample(Session& session);
  /// The choice among candidates in any order behind the tokens of a sequence; what sample() does once it has them. A
  /// logit of minus infinity forbids its token. Errors: InvalidArgument (no candidates), NotFinite (a logit that is NaN
  /// or plus infinity, with the penalties; or all are forbidden).
  [[nodiscard]] Result<std::int32_t> choose(std::vector<Candidate> candidates,
                                            std::span<const std::int32_t> sequence = {});

 private:
  [[nodiscard]] bool penalises() const;
  void penalise(std::vector<Candidate>& candidates, std::span<const std::int32_t> sequence) const;
  [[nodiscard]] double draw();

  SamplerOptions options_;
  std::mt19937 random_;
};

}  // namespace gguf_fuse::runtime
