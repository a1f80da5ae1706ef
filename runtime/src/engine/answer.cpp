// SPDX-License-Identifier: MIT
#include "engine/answer.hpp"

namespace gguf_fuse::runtime::detail {

std::optional<FinishReason> Answer::add(std::int32_t token) {
  generation_.tokens.push_back(token);
  show(characters_.push(stop_.push(tokenizer_.piece(token, options_.special))));
  if (!options_.ignore_end && tokenizer_.is_end_of_generation(token)) return FinishReason::EndOfGeneration;
  if (stop_.found()) return FinishReason::StopText;
  const std::size_t most = options_.tokens > 0 ? static_cast<std::size_t>(options_.tokens) : 0;
  if (most > 0 && generation_.tokens.size() >= most) return FinishReason::TokenLimit;
  return std::nullopt;
}

void Answer::finish() {
  show(characters_.push(stop_.flush()));
  show(characters_.flush());
}

void Answer::show(const std::string& characters) {
  if (characters.empty()) return;
  generation_.text += characters;
  if (show_) show_(characters);
}

}  // namespace gguf_fuse::runtime::detail
