// SPDX-License-Identifier: MIT
#include "message_source.hpp"

#include <unistd.h>

#include <csignal>
#include <utility>

#include "print.hpp"
#include "signals.hpp"
#include "standard_input.hpp"
#include "terminal_messages.hpp"

namespace gguf_fuse::cli {
namespace {

/// Lines of standard input, of any length; a signal ends the waiting.
class Lines final : public MessageSource {
 public:
  explicit Lines(Control& control) : control_(control) {}

  std::optional<std::string> next() override {
    ask();
    for (;;) {
      if (const std::size_t end = buffer_.find('\n', searched_); end != std::string::npos) {
        std::string line = buffer_.substr(0, end);
        buffer_.erase(0, end + 1);
        searched_ = 0;
        asked_to_end_ = false;
        if (!was_cut(line)) return line;
        ask();
        continue;
      }
      searched_ = buffer_.size();
      if (caught_signal() != 0) {
        if (!goes_on_after_interrupt()) return std::nullopt;
        continue;
      }
      if (input_.read(buffer_) != StandardInput::Outcome::End) continue;
      if (buffer_.empty()) return std::nullopt;
      searched_ = 0;
      return std::exchange(buffer_, {});
    }
  }
  [[nodiscard]] bool is_interactive() const override { return terminal_; }

 private:
  void ask() const {
    if (terminal_) put(stderr, "> ");
  }

  /// A terminal that does its own editing gives no longer lines and says nothing.
  [[nodiscard]] bool was_cut(const std::string& line) const {
    constexpr std::size_t kLongest = 4095;
    if (!terminal_ || line.size() < kLongest) return false;
    print_warning(
        "the terminal cut this line after 4,095 bytes, and it was not sent; -f reads a longer prompt from a file");
    return true;
  }

  /// As in the editor, but for that the terminal does not say whether something stood in the line.
  [[nodiscard]] bool goes_on_after_interrupt() {
    if (!terminal_ || caught_signal() != SIGINT || asked_to_end_) return false;
    asked_to_end_ = true;
    forget_signal(control_);  // before it is said: the next one counts
    put(stderr, '\n' + std::string(kHowToEnd));
    ask();
    return true;
  }

  Control& control_;
  StandardInput input_;
  bool asked_to_end_ = false;
  std::string buffer_;
  std::size_t searched_ = 0;  // bytes of it that hold no newline
  bool terminal_ = isatty(STDIN_FILENO) != 0;
};

}  // namespace

std::unique_ptr<MessageSource> open_messages(Control& control, bool simple) {
  if (!simple && isatty(STDIN_FILENO) != 0) {
    if (auto editor = open_terminal_messages(control)) return editor;
  }
  return std::make_unique<Lines>(control);
}

}  // namespace gguf_fuse::cli
