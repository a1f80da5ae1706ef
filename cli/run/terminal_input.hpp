// SPDX-License-Identifier: MIT
#pragma once

#include <csignal>
#include <optional>
#include <string>
#include <string_view>

#include "standard_input.hpp"

namespace gguf_fuse::cli {

/// Characters of a terminal; a signal ends the waiting.
class TerminalInput {
 public:
  /// What came instead of a character.
  enum class Stop { EndOfInput, Signal, Redraw };
  struct Character {
    wchar_t value = 0;
    std::optional<Stop> stop{};
  };

  /// Waits for a character. Redraw: the window's size changed, or the program was stopped and goes on.
  [[nodiscard]] Character next();
  /// Forgets what was typed ahead.
  void drop();

 private:
  [[nodiscard]] std::optional<wchar_t> decode();

  StandardInput input_;
  std::string bytes_;   // read
  std::size_t at_ = 0;  // what of it is decoded
};

/// While it lives, a change of the window's size and going on after a stop end the waiting of a TerminalInput.
class TerminalSignals {
 public:
  TerminalSignals();
  ~TerminalSignals();
  TerminalSignals(const TerminalSignals&) = delete;
  TerminalSignals& operator=(const TerminalSignals&) = delete;

 private:
  struct sigaction resized_ {};
  struct sigaction continued_ {};
};

/// Text is UTF-8 whatever the locale says; from here on wide characters are Unicode's.
void use_utf8();
[[nodiscard]] std::wstring widen(std::string_view text);
[[nodiscard]] std::string narrow(std::wstring_view text);

}  // namespace gguf_fuse::cli
