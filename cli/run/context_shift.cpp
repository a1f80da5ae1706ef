// SPDX-License-Identifier: MIT
#include "context_shift.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "print.hpp"

namespace gguf_fuse::cli {

Result<std::span<const std::int32_t>> reuse_tokens(Session& session, std::span<const std::int32_t> tokens) {
  const auto held = session.tokens();
  const auto [differs, end] = std::mismatch(tokens.begin(), tokens.end(), held.begin(), held.end());
  const auto common = std::min(static_cast<std::size_t>(differs - tokens.begin()), tokens.size() - 1);
  GGUF_FUSE_CHECK(session.truncate(static_cast<std::uint32_t>(common)));
  return tokens.subspan(common);
}

Result<std::size_t> shift_context(Session& session, std::size_t keep) {
  const std::vector<std::int32_t> held(session.tokens().begin(), session.tokens().end());
  keep = std::min(keep, held.size());
  const std::size_t dropped = (held.size() - keep) / 2;
  if (dropped == 0) return dropped;
  GGUF_FUSE_CHECK(session.truncate(static_cast<std::uint32_t>(keep)));
  GGUF_FUSE_CHECK(session.evaluate(std::span(held).subspan(keep + dropped)));
  return dropped;
}

PromptProgress::PromptProgress(std::size_t tokens) : tokens_(tokens), shown_(false) {
  constexpr std::size_t kLong = 256;  // anything shorter is over before one has read it
  shown_ = tokens >= kLong && terminal_width(stderr) > 0;
  show(0);
}

PromptProgress::~PromptProgress() {
  if (shown_) put(stderr, "\r\x1b[K");
}

void PromptProgress::show(std::size_t done) const {
  if (!shown_) return;
  if (done >= tokens_) return put(stderr, "\r\x1b[K");
  put(stderr, fmt::format("\rprompt {:>3} %  {} of {} tokens\x1b[K", 100 * done / tokens_, done, tokens_));
}

}  // namespace gguf_fuse::cli
