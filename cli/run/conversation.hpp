// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "gguf_fuse/runtime/chat.hpp"
#include "run_options.hpp"
#include "start.hpp"

namespace gguf_fuse::cli {

/// What was said, and a session that holds as much of it as still counts. Each turn makes tokens of all messages; what
/// the session holds of them already is not computed again.
class Conversation {
 public:
  /// The references must outlive it.
  Conversation(const RunOptions& options, const ChatTemplate& chat_template, Session& session,
               const Tokenizer& tokenizer, Control& control);

  /// Forgets everything but the system message. Errors: those of Session::truncate.
  [[nodiscard]] Result<void> clear();
  /// Whether there is an answer that regenerate() can replace.
  [[nodiscard]] bool has_answer() const;

  /// Answers a message, showing the answer as it comes. Nothing, and the reason as a warning, when the message is
  /// refused: it or the conversation with it does not fit into the context. A message that is refused or fails, or
  /// whose answer is cancelled before its first token, is as if it had never been. Errors: those of generate and
  /// conversation_tokens.
  [[nodiscard]] Result<std::optional<Generation>> answer(const std::string& message);
  /// Drops the last answer and gives another one.
  [[nodiscard]] Result<std::optional<Generation>> regenerate();

 private:
  void begin();
  [[nodiscard]] Result<std::optional<Generation>> reply();
  [[nodiscard]] Result<std::vector<std::int32_t>> tokens_of(std::span<const ChatMessage> messages) const;
  [[nodiscard]] Result<std::optional<std::vector<std::int32_t>>> fitting_prompt();
  [[nodiscard]] Result<std::string> refusal() const;
  [[nodiscard]] Result<bool> make_room(std::span<const std::int32_t> answer);
  [[nodiscard]] Result<bool> drop_older_half();
  [[nodiscard]] Result<std::size_t> first_droppable() const;
  void tell_dropped();

  const RunOptions& options_;
  const ChatTemplate& template_;
  Session& session_;
  const Tokenizer& tokenizer_;
  Control& control_;
  Sampler sampler_;
  std::vector<ChatMessage> messages_;
  std::size_t dropped_ = 0;  // exchanges, not told yet
};

}  // namespace gguf_fuse::cli
