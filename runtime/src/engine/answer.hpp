// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "gguf_fuse/runtime/generate.hpp"
#include "gguf_fuse/runtime/utf8_stream.hpp"
#include "text/stop_text.hpp"

namespace gguf_fuse::runtime::detail {

/// An answer as its tokens come: makes text of them, and knows when they end it. What is sure to belong to the text
/// goes to `show` (may be empty). The references have to outlive it.
class Answer {
 public:
  Answer(const Tokenizer& tokenizer, const GenerateOptions& options, const std::function<void(std::string_view)>& show,
         Generation& generation)
      : tokenizer_(tokenizer), options_(options), show_(show), generation_(generation), stop_(options.stop) {}

  /// Whether there may be a first token.
  [[nodiscard]] bool wants_any() const { return options_.tokens != 0; }
  /// Adds a sampled token. Why the answer ends with it; nothing where it goes on.
  std::optional<FinishReason> add(std::int32_t token);
  /// Adds what might have become a stop text, or a whole character.
  void finish();

 private:
  void show(const std::string& characters);

  const Tokenizer& tokenizer_;
  const GenerateOptions& options_;
  const std::function<void(std::string_view)>& show_;
  Generation& generation_;
  StopText stop_;
  Utf8Stream characters_;
};

}  // namespace gguf_fuse::runtime::detail
